/**
 * Reads from user data, a shell script, what a simulated node needs of it: the agent's configuration, and where the
 * agent's bundle lies.
 */
import * as v from 'valibot';
import { AGENT_CONFIG_PATH, agentConfigSchema, type AgentConfig } from '../../../protocol/environment';

export interface BootInstructions {
  config: AgentConfig;
  bucket: string;
  key: string;
  /** How often what needs the network is tried again, and after which pauses. */
  retries: number;
  pauseSeconds: number;
}

/** @throws Error naming what is missing */
export function readUserData(userData: string): BootInstructions {
  const [, marker, rest] = new RegExp(`^cat > ${AGENT_CONFIG_PATH} <<'(\\w+)'\\n([^]*)`, 'm').exec(userData) ?? [];
  if (marker === undefined)
    throw new Error(`The user data writes no ${AGENT_CONFIG_PATH}: it is not that of a node of this library.`);
  const [, bucket, key] = /^again aws s3 cp s3:\/\/([^/\s]+)\/(\S+) /m.exec(userData) ?? [];
  if (bucket === undefined)
    throw new Error('The user data fetches no agent: it is not that of a node of this library.');
  const [, retries, pause] = /^again\(\) \{\n[^}]*for attempt in \{1\.\.(\d+)\}[^}]*sleep (\d+)$/m.exec(userData) ?? [];
  if (retries === undefined)
    throw new Error('The user data does not say how often it tries again: it is not that of a node of this library.');
  return {
    retries: Number(retries),
    pauseSeconds: Number(pause),
    config: v.parse(agentConfigSchema, JSON.parse(rest!.split(`\n${marker}\n`)[0]!)),
    bucket,
    key: key!,
  };
}
