import type { Command } from '../../protocol/commands';
import { nextStep, type Local } from '../../agent/plan';

const instanceId = 'i-0123456789abcdef0';
const common = { id: 'c1', instanceId, expiresAt: 2_000, reason: 'test' };
const init: Command = {
  ...common,
  kind: 'init',
  volumeId: 'vol-1',
  advertiseAddress: '10.0.0.10',
  addressPools: ['100.64.0.0/10'],
  addressPoolPrefixLength: 24,
};
const join: Command = {
  ...common,
  kind: 'join',
  role: 'worker',
  token: `SWMTKN-1-${'a'.repeat(50)}-${'b'.repeat(25)}`,
  swarmId: 's'.repeat(25),
  managers: ['10.0.0.10'],
};
const leave: Command = { ...common, kind: 'leave' };
const nodeId = 'n'.repeat(25);
const remove: Command = { ...common, kind: 'remove', nodeId: 'o'.repeat(25) };
const recover: Command = { ...common, kind: 'recover', nodeId, advertiseAddress: '10.0.0.10' };
const inactive = { state: 'inactive', controlAvailable: false } as const;
const member = { state: 'active', nodeId: 'n'.repeat(25), controlAvailable: false } as const;
const mounted = { id: 'vol-1', mounted: true };

describe('the next step of the agent', () => {
  it.each<[string, Partial<Local>, string]>([
    ['waits for a volume that is not attached', { volume: { id: 'vol-1', mounted: false } }, 'rest'],
    ['mounts a volume that is', { volume: { id: 'vol-1', mounted: false, device: '/dev/nvme1n1' } }, 'mount-volume'],
    ['starts the engine only behind the volume', { volume: mounted }, 'start-engine'],
    ['starts the engine of a worker at once', {}, 'start-engine'],
    ['rests without a command', { swarm: inactive }, 'rest'],
    ['makes the swarm', { swarm: inactive, volume: mounted, command: init }, 'init'],
    [
      'makes no swarm on another volume',
      { swarm: inactive, volume: { id: 'vol-2', mounted: true }, command: init },
      'refuse',
    ],
    ['makes no swarm without a volume', { swarm: inactive, command: init }, 'refuse'],
    [
      'makes no second swarm where its volume holds one',
      { swarm: { ...member, controlAvailable: true }, volume: mounted, command: init },
      'done',
    ],
    [
      'makes no second swarm where it sees the leader of one',
      { swarm: { ...member, controlAvailable: true, swarmId: 's'.repeat(25) }, volume: mounted, command: init },
      'done',
    ],
    [
      'never makes a swarm by an expired command',
      { now: 2_000, swarm: inactive, volume: mounted, command: init },
      'refuse',
    ],
    ['joins', { swarm: inactive, command: join }, 'join'],
    [
      'asks for nothing while the engine works on its last request',
      { swarm: inactive, command: join, busy: true },
      'rest',
    ],
    ['has joined', { swarm: member, command: join }, 'done'],
    ['has joined, though the command expired meanwhile', { now: 9_000, swarm: member, command: join }, 'done'],
    [
      'waits while Docker goes on joining in the background',
      { swarm: { state: 'pending', controlAvailable: false }, command: join },
      'rest',
    ],
    [
      'ends a background join when its command expired',
      { now: 2_000, swarm: { state: 'pending', controlAvailable: false }, command: join },
      'end-join',
    ],
    ['ends a background join that nobody asks for', { swarm: { state: 'error', controlAvailable: false } }, 'end-join'],
    [
      'restarts an engine that has a certificate and failed to be that node, and never leaves',
      { swarm: { state: 'error', controlAvailable: false }, certified: true },
      'restart-engine',
    ],
    [
      'does so though a command asks for a join',
      { swarm: { state: 'error', controlAvailable: false }, certified: true, command: join },
      'restart-engine',
    ],
    [
      'waits for an engine that has a certificate and is on its way',
      { now: 2_000, swarm: { state: 'pending', controlAvailable: false }, certified: true },
      'rest',
    ],
    [
      'does not restart an engine once it is leaving',
      { swarm: { state: 'error', controlAvailable: false }, certified: true, leaving: true },
      'rest',
    ],
    [
      'lets an engine finish the swarm that it makes, whatever the hour',
      { now: 2_000, swarm: { state: 'pending', controlAvailable: false }, volume: mounted, command: init },
      'rest',
    ],
    [
      'never leaves with an identity of its own, whatever state it starts in',
      { swarm: { ...member, state: 'pending' } },
      'rest',
    ],
    [
      'never leaves with an identity of its own in an error',
      { now: 2_000, swarm: { ...member, state: 'error' }, command: join },
      'refuse',
    ],
    ['refuses to join a second swarm', { swarm: { ...member, swarmId: 'o'.repeat(25) }, command: join }, 'refuse'],
    [
      'refuses a command for another instance',
      { swarm: inactive, command: { ...join, instanceId: 'i-0fedcba9876543210' } },
      'refuse',
    ],
    ['leaves when told to', { swarm: member, command: leave }, 'leave'],
    [
      'does not leave while it sees a leader',
      { swarm: { ...member, controlAvailable: true, swarmId: 's'.repeat(25) }, command: leave },
      'refuse',
    ],
    [
      'leaves though it is a manager, when it sees none',
      { swarm: { ...member, state: 'pending', controlAvailable: true }, command: leave },
      'leave',
    ],
    [
      'leaves rather than restart an engine that failed to be who it was',
      { swarm: { state: 'error', controlAvailable: false }, certified: true, command: leave },
      'leave',
    ],
    [
      'leaves by no expired command, and by none for another',
      { now: 2_000, swarm: { state: 'error', controlAvailable: false }, certified: true, command: leave },
      'restart-engine',
    ],
    [
      'leaves by no command for another',
      {
        swarm: { state: 'error', controlAvailable: false },
        certified: true,
        command: { ...leave, instanceId: 'i-0fedcba9876543210' },
      },
      'restart-engine',
    ],
    [
      'takes another manager out',
      { swarm: { ...member, controlAvailable: true, swarmId: 's'.repeat(25) }, command: remove },
      'remove',
    ],
    ['takes nobody out as a worker', { swarm: member, command: remove }, 'refuse'],
    [
      'takes nobody out by an expired command',
      { now: 2_000, swarm: { ...member, controlAvailable: true }, command: remove },
      'refuse',
    ],
    ['goes on alone', { swarm: { ...member, controlAvailable: true }, command: recover }, 'recover'],
    [
      'goes on as it is when it sees a leader',
      { swarm: { ...member, controlAvailable: true, swarmId: 's'.repeat(25) }, command: recover },
      'done',
    ],
    [
      'does not go on alone as another',
      { swarm: { ...member, nodeId: 'o'.repeat(25), controlAvailable: true }, command: recover },
      'refuse',
    ],
    [
      'never makes a swarm where there is none, when told to go on alone',
      { swarm: inactive, command: recover },
      'refuse',
    ],
    ['has left', { swarm: inactive, command: leave }, 'done'],
    ['begins no join once it is leaving', { swarm: inactive, command: join, leaving: true }, 'rest'],
    [
      'mounts nothing once it is leaving',
      { volume: { id: 'vol-1', mounted: false, device: '/dev/sdf' }, leaving: true },
      'rest',
    ],
    [
      'ends a background join once it is leaving',
      { swarm: { state: 'pending', controlAvailable: false }, command: join, leaving: true },
      'end-join',
    ],
    ['stays a member while it is leaving', { swarm: member, leaving: true }, 'rest'],
  ])('%s', (_, local, kind) => {
    expect(nextStep({ now: 1_000, instanceId, certified: false, busy: false, leaving: false, ...local }).kind).toBe(
      kind,
    );
  });
});
