/** CPU and memory of the agent on a real node at rest, beside dockerd: on the swarm's leader and on a worker. */
import { join } from 'node:path';
import { readStack, synthesise } from '../rehearsal/assembly/synth';
import type { AtRest, Usage } from './agent-at-rest';
import { inRegion, ROOT, skipped } from './region';

export async function benchAgent(): Promise<void> {
  if (await skipped('the agent at rest')) return;
  const written = await inRegion('agent-at-rest.ts', async (temporary, groups) => {
    const assembly = join(temporary, 'cdk.out');
    await synthesise(ROOT, assembly, { managers: 1, workers: 1 }, groups, () => undefined);
    return {
      assembly,
      stackName: readStack(assembly).name,
      lambdaRuntime: join(ROOT, 'dist/rehearsal/lambda-runtime.js'),
    };
  });
  for (const [role, { agent, engine, engineAlone }] of Object.entries(JSON.parse(written) as AtRest)) {
    const node = role === 'manager' ? 'the leader' : `a ${role}`;
    console.log(
      `CPU of ${node} at rest, seconds a minute: agent ${cpu(agent)}, dockerd ${cpu(engine)}, ratio ` +
        `${(agent.cpuSecondsPerMinute / engine.cpuSecondsPerMinute).toFixed(2)}; dockerd while the agent is ` +
        `stopped ${cpu(engineAlone)}`,
    );
    console.log(
      `memory of ${node} at rest: agent ${memory(agent)}, dockerd ${memory(engine)}, ratio ` +
        `${(agent.residentMegabytes / engine.residentMegabytes).toFixed(2)}`,
    );
  }
}

function cpu({ cpuSecondsPerMinute }: Usage): string {
  return cpuSecondsPerMinute.toFixed(2);
}

function memory({ residentMegabytes, proportionalMegabytes }: Usage): string {
  return (
    `${residentMegabytes.toFixed(0)} ` +
    `MB${proportionalMegabytes === undefined ? '' : ` (proportional ${proportionalMegabytes.toFixed(0)} MB)`}`
  );
}
