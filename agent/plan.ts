/**
 * What the agent does next, from what is there now. Pure. Killed at any line, the agent finds its way from the same
 * picture again.
 */
import type { Command, CommandOf } from '../protocol/commands';
import type { LocalSwarm } from './engine';

export interface Local {
  /** Milliseconds since 1970, by this node's clock. */
  now: number;
  instanceId: string;
  /** Managers only. `device` is there once the volume is attached. */
  volume?: { id: string; mounted: boolean; device?: string };
  /** Undefined while no engine answers. */
  swarm?: LocalSwarm;
  /**
   * The engine's disk holds the certificate of a node: it is somebody in a swarm, and perhaps a member of its raft,
   * whatever the engine says of itself.
   */
  certified: boolean;
  command?: Command;
  /** Its tombstone stands: it begins nothing any more. */
  leaving: boolean;
  /** Docker still works on our last request to init, join or leave. */
  busy: boolean;
}

export type Step =
  | { kind: 'rest'; reason: string }
  | { kind: 'mount-volume'; device: string }
  | { kind: 'start-engine' }
  /** Docker tries once, when it starts, to be the node that it was (20 s), then never again. */
  | { kind: 'restart-engine'; reason: string }
  | { kind: 'init'; command: CommandOf<'init'> }
  | { kind: 'join'; command: CommandOf<'join'> }
  | { kind: 'remove'; command: CommandOf<'remove' | 'retire'> }
  | { kind: 'recover'; command: CommandOf<'recover'> }
  | { kind: 'leave'; reason: string }
  /** Ends a join that Docker goes on with. Refused by an engine that has become a manager meanwhile. */
  | { kind: 'end-join'; reason: string }
  /** The command is not carried out; the reason goes into the report. */
  | { kind: 'refuse'; command: Command; reason: string }
  /** What the command wants is so. */
  | { kind: 'done'; command: Command };

export function nextStep({ now, instanceId, volume, swarm, certified, command, leaving, busy }: Local): Step {
  const joining = swarm !== undefined && hasNoIdentity(swarm) && !certified;
  if (leaving && !joining) return { kind: 'rest', reason: 'This instance leaves.' };
  if (volume && !volume.mounted) {
    return volume.device
      ? { kind: 'mount-volume', device: volume.device }
      : { kind: 'rest', reason: 'The volume is not attached yet.' };
  }
  if (!swarm) return { kind: 'start-engine' };
  if (busy) return { kind: 'rest', reason: 'The engine works on the last request.' };
  const expired = command !== undefined && now >= command.expiresAt;
  // Whoever told it knows that nobody needs this identity any more.
  const forgets = command?.kind === 'leave' && command.instanceId === instanceId && !expired && !leaving;
  if (certified && swarm.state === 'error' && !forgets)
    return { kind: 'restart-engine', reason: 'It has the certificate of a node, and failed to be that node.' };
  // An engine that makes a swarm looks the same for a moment.
  if (joining && command?.kind === 'init' && !leaving) return { kind: 'rest', reason: 'The engine makes the swarm.' };
  if (joining && (leaving || command?.kind !== 'join' || expired))
    return { kind: 'end-join', reason: 'A join goes on in the background, and no valid command asks for it.' };
  if (!command) return { kind: 'rest', reason: 'No command.' };
  if (command.instanceId !== instanceId)
    return { kind: 'refuse', command, reason: 'It is meant for another instance.' };
  if (isFulfilled(command, swarm)) return { kind: 'done', command };
  if (expired) return { kind: 'refuse', command, reason: 'It expired.' };
  switch (command.kind) {
    case 'leave':
      return swarm.swarmId === undefined
        ? { kind: 'leave', reason: command.reason }
        : { kind: 'refuse', command, reason: 'It is a working manager: it sees a leader.' };
    case 'remove':
    case 'retire':
      return swarm.controlAvailable
        ? { kind: 'remove', command }
        : { kind: 'refuse', command, reason: 'It is no manager.' };
    case 'recover':
      if (!swarm.controlAvailable || swarm.nodeId !== command.nodeId)
        return { kind: 'refuse', command, reason: 'It is not the manager that is to go on.' };
      return { kind: 'recover', command };
    case 'init':
      if (volume?.id !== command.volumeId)
        return { kind: 'refuse', command, reason: 'The swarm is to be made on another volume than this node has.' };
      return swarm.state === 'inactive'
        ? { kind: 'init', command }
        : { kind: 'rest', reason: `The engine's swarm state is ${swarm.state}.` };
    case 'join':
      if (swarm.state === 'active')
        return { kind: 'refuse', command, reason: 'This node is a member of another swarm.' };
      return swarm.state === 'inactive'
        ? { kind: 'join', command }
        : { kind: 'rest', reason: `The engine's swarm state is ${swarm.state}.` };
  }
}

/**
 * Pending or in an error, and no word of which node it is. Without a certificate nothing was ever joined: it is a join
 * of ours that Docker keeps trying in the background (https://github.com/moby/moby/issues/25432). With one, it is a
 * node that could not start: to leave would be to throw away an identity, and a manager's member of raft would stay
 * behind for ever.
 */
export function hasNoIdentity(swarm: LocalSwarm): boolean {
  return (swarm.state === 'pending' || swarm.state === 'error') && !swarm.nodeId;
}

function isFulfilled(command: Command, swarm: LocalSwarm): boolean {
  switch (command.kind) {
    case 'init':
      return swarm.state === 'active';
    case 'join':
      // Workers are not told which swarm they are in.
      return swarm.state === 'active' && (swarm.swarmId === undefined || swarm.swarmId === command.swarmId);
    case 'leave':
      return swarm.state === 'inactive';
    case 'recover':
      // Managers name their swarm only while they see its leader.
      return swarm.swarmId !== undefined;
    case 'remove':
    case 'retire':
      return false;
  }
}
