/**
 * Docker 20.10's refusals, word for word: the conformance suite compares them with a real engine, and callers match on
 * them.
 */
import { EngineError } from '../../../agent/engine';

const rpc = (code: string, description: string, status: number) =>
  new EngineError(status, `rpc error: code = ${code} desc = ${description}`);

export const notManager = () =>
  new EngineError(
    503,
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node ' +
      'to swarm and try again.',
  );
export const workerOnly = () =>
  new EngineError(
    503,
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please " +
      'run this command on a manager node or promote the current node to a manager.',
  );
export const notInSwarm = () => new EngineError(503, 'This node is not part of a swarm');
export const managerMayNotLeave = () =>
  new EngineError(
    503,
    'You are attempting to leave the swarm on a node that is participating as a manager. Use `--force` to ' +
      'suppress this message.',
  );
export const alreadyInSwarm = () =>
  new EngineError(
    503,
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
  );
export const joinTimeout = () =>
  new EngineError(
    503,
    'Timeout was reached before node joined. The attempt to join the swarm will continue in the ' +
      'background. Use the "docker info" command to see the current swarm status of your node.',
  );
export const wrongToken = () => rpc('InvalidArgument', 'A valid join token is necessary to join this cluster', 400);
export const connectionRefused = (address: string) =>
  rpc(
    'Unavailable',
    `connection error: desc = "transport: Error while dialing dial tcp ${address}:2377: connect: connection refused"`,
    503,
  );
export const outOfSequence = () => rpc('Unknown', 'update out of sequence', 500);
export const noLeader = () =>
  rpc(
    'Unknown',
    "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than " +
      'half of the managers are online.',
    500,
  );
export const lostLeadership = () => rpc('Unknown', 'raft: failed to process the request: node lost leader status', 500);
export const deadline = () => rpc('DeadlineExceeded', 'context deadline exceeded', 500);
export const nodeNotFound = (id: string) => new EngineError(404, `node ${id} not found`);
export const lastManager = () => rpc('FailedPrecondition', 'attempting to demote the last manager of the swarm', 400);
export const quorumGuard = () =>
  rpc('FailedPrecondition', "can't remove member from the raft: this would result in a loss of quorum", 400);
export const notInMemberList = () => rpc('NotFound', "can't find manager in raft memberlist", 404);
export const memberNotRemovable = (id: string) =>
  rpc(
    'FailedPrecondition',
    `node ${id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`,
    400,
  );
export const notDown = (id: string) => rpc('FailedPrecondition', `node ${id} is not down and can't be removed`, 400);

/** No engine is listening on the socket. */
export const refused = () =>
  Object.assign(new Error('connect ECONNREFUSED /var/run/docker.sock'), { code: 'ECONNREFUSED' });
/** The agent's own client gave up. */
export const noAnswer = () => new Error('The Docker engine did not answer within 30 s.');
/** The engine ended before it answered. */
export const hungUp = () => Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
