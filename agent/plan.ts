/**
 * Decides the agent's next step from the current state. Pure. An agent killed at any line decides the same from the
 * same state.
 */
import type { Command, CommandOf } from '../protocol/commands';
import type { LocalSwarm } from './engine';

export interface Local {
  /** Milliseconds since 1970, by this node's clock. */
  now: number;
  instanceId: string;
  /** Managers only. `device` is set once the volume is attached. */
  volume?: { id: string; mounted: boolean; device?: string };
  /** Undefined while no engine answers. */
  swarm?: LocalSwarm;
  /**
   * The engine's disk holds a node certificate. It has an identity in a swarm, and may be a member of raft, whatever
   * the engine reports.
   */
  certified: boolean;
  command?: Command;
  /** The instance has a tombstone: it starts nothing new. */
  leaving: boolean;
  /** Docker is still working on our last request to init, join or leave. */
  busy: boolean;
}

export type Step =
  | { kind: 'rest'; reason: string }
  | { kind: 'mount-volume'; device: string }
  | { kind: 'start-engine' }
  /** When it starts, Docker tries for 20 s to be the node that it was, and never again. */
  | { kind: 'restart-engine'; reason: string }
  | { kind: 'init'; command: CommandOf<'init'> }
  | { kind: 'join'; command: CommandOf<'join'> }
  | { kind: 'remove'; command: CommandOf<'remove' | 'retire'> }
  | { kind: 'recover'; command: CommandOf<'recover'> }
  | { kind: 'leave'; reason: string }
  /**
   * Aborts a join that Docker continues in the background. Docker refuses if the engine has become a manager meanwhile.
   */
  | { kind: 'end-join'; reason: string }
  /** The command is not carried out. The reason goes into the report. */
  | { kind: 'refuse'; command: Command; reason: string }
  /** The state that the command asks for is reached. */
  | { kind: 'done'; command: Command };

export function nextStep({ now, instanceId, volume, swarm, certified, command, leaving, busy }: Local): Step {
  const joining = swarm !== undefined && hasNoIdentity(swarm) && !certified;
  if (leaving && !joining) return { kind: 'rest', reason: 'This instance is leaving.' };
  if (volume && !volume.mounted) {
    return volume.device
      ? { kind: 'mount-volume', device: volume.device }
      : { kind: 'rest', reason: 'The volume is not attached yet.' };
  }
  if (!swarm) return { kind: 'start-engine' };
  if (busy) return { kind: 'rest', reason: 'The engine is still working on the last request.' };
  const expired = command !== undefined && now >= command.expiresAt;
  // The functions send `leave` only if nobody needs this identity any more.
  const forgets = command?.kind === 'leave' && command.instanceId === instanceId && !expired && !leaving;
  if (certified && swarm.state === 'error' && !forgets)
    return { kind: 'restart-engine', reason: 'It has a node certificate but failed to start as that node.' };
  // For a moment, an engine that creates a swarm looks like one that joins.
  if (joining && command?.kind === 'init' && !leaving)
    return { kind: 'rest', reason: 'The engine is creating the swarm.' };
  if (joining && (leaving || command?.kind !== 'join' || expired))
    return { kind: 'end-join', reason: 'A join continues in the background, but no valid command asks for it.' };
  if (!command) return { kind: 'rest', reason: 'No command.' };
  if (command.instanceId !== instanceId)
    return { kind: 'refuse', command, reason: 'It is meant for another instance.' };
  if (isFulfilled(command, swarm)) return { kind: 'done', command };
  if (expired) return { kind: 'refuse', command, reason: 'It has expired.' };
  switch (command.kind) {
    case 'leave':
      return swarm.swarmId === undefined
        ? { kind: 'leave', reason: command.reason }
        : { kind: 'refuse', command, reason: 'This node is a working manager: it sees a leader.' };
    case 'remove':
    case 'retire':
      return swarm.controlAvailable
        ? { kind: 'remove', command }
        : { kind: 'refuse', command, reason: 'This node is not a manager.' };
    case 'recover':
      if (!swarm.controlAvailable || swarm.nodeId !== command.nodeId)
        return {
          kind: 'refuse',
          command,
          reason: `This node is not the manager ${command.nodeId}, which is to go on.`,
        };
      return { kind: 'recover', command };
    case 'init':
      if (volume?.id !== command.volumeId)
        return {
          kind: 'refuse',
          command,
          reason: `The swarm must be created on ${command.volumeId}, which this node does not have.`,
        };
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
 * Pending or in error, and without a node id. If there is no certificate, the engine never joined: it is our join that
 * Docker keeps trying in the background (https://github.com/moby/moby/issues/25432). If there is one, the engine failed
 * to start as its node: leaving would destroy that identity, and a manager's raft member would be left behind for ever.
 */
export function hasNoIdentity(swarm: LocalSwarm): boolean {
  return (swarm.state === 'pending' || swarm.state === 'error') && !swarm.nodeId;
}

function isFulfilled(command: Command, swarm: LocalSwarm): boolean {
  switch (command.kind) {
    case 'init':
      return swarm.state === 'active';
    case 'join':
      // Workers do not know the id of their swarm.
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
