/** Reads what a simulated node needs from its user data script: the agent's configuration, and where its bundle is. */
import * as v from 'valibot';
import { AGENT_CONFIG_PATH, agentConfigSchema, type AgentConfig } from '../../../protocol/environment';

export interface BootInstructions {
  config: AgentConfig;
  bucket: string;
  key: string;
  /** How often and after which pauses network operations are retried. */
  retries: number;
  pauseSeconds: number;
}

/** @throws Error naming what is missing */
export function readUserData(userData: string): BootInstructions {
  const [, marker, rest] = new RegExp(`^cat > ${AGENT_CONFIG_PATH} <<'(\\w+)'\\n([^]*)`, 'm').exec(userData) ?? [];
  if (marker === undefined)
    throw new Error(`The user data does not write ${AGENT_CONFIG_PATH}: it is not this library's.`);
  const [, bucket, key] = /^again aws s3 cp s3:\/\/([^/\s]+)\/(\S+) /m.exec(userData) ?? [];
  if (bucket === undefined) throw new Error("The user data does not fetch the agent: it is not this library's.");
  const [, retries, pause] = /^again\(\) \{\n[^}]*for attempt in \{1\.\.(\d+)\}[^}]*sleep (\d+)$/m.exec(userData) ?? [];
  if (retries === undefined) throw new Error("The user data does not set its retries: it is not this library's.");
  return {
    retries: Number(retries),
    pauseSeconds: Number(pause),
    config: v.parse(agentConfigSchema, JSON.parse(rest!.split(`\n${marker}\n`)[0]!)),
    bucket,
    key: key!,
  };
}
