/**
 * Every IAM statement of the reference template is needed: taken out, one after the other, a cluster that forms, loses
 * a worker, has one that hangs, replaces a manager and is asked without TLS fails, naming action, principal and
 * resource.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Assembly } from '../../rehearsal/simulation/setup';
import type { PublishedPort } from '../../protocol/swarm';
import type { Template } from '../../rehearsal/assembly/synth';
import { assemblies, MINUTE, Story } from '../rehearsal/simulation/support';

jest.setTimeout(300_000);

/** On-demand instances get no spot notice. */
const SETUP = { managers: 3, workers: 1, spot: true };

/** Those that nothing here can miss, and why. */
const UNEXERCISED: Record<string, string> = {
  'SwarmLifecycleManagerPolicy OpenSessions':
    'Session Manager is for people; the agent of Systems Manager is not part of the rehearsal.',
  'SwarmLifecycleWorkerPolicy OpenSessions': 'The same, for workers.',
};

interface Statement {
  /** Logical id without its hash, and the Sid or, without one, what the statement is for. */
  name: string;
  resource: string;
  /** From the resource's properties to the list of statements. */
  path: (string | number)[];
  index: number;
  effect: 'Allow' | 'Deny';
}

/** Everything in the template that has a list of statements. */
function statementsOf(template: Template): Statement[] {
  const found: Statement[] = [];
  const visit = (resource: string, value: unknown, path: (string | number)[]): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, member] of Object.entries(value)) {
      if (key !== 'Statement') visit(resource, member, [...path, Array.isArray(value) ? Number(key) : key]);
      else
        for (const [index, { Sid, Effect }] of [member as { Sid?: string; Effect: 'Allow' | 'Deny' }[]]
          .flat()
          .entries())
          found.push({
            name: `${resource.replace(/[0-9A-F]{8}$/, '')} ${Sid ?? `${path.at(-1)} ${index}`}`,
            resource,
            path: [...path, key],
            index,
            effect: Effect,
          });
    }
  };
  for (const [id, { Properties }] of Object.entries(template.Resources)) visit(id, Properties, []);
  return found;
}

function without(template: Template, { resource, path, index }: Statement): Template {
  const copy = structuredClone(template);
  let list: any = copy.Resources[resource]!.Properties;
  for (const part of path) list = list[part];
  list.splice(index, 1);
  return copy;
}

/** The assembly with another template. */
function variant(folder: string, stackName: string, template: Template): string {
  const out = mkdtempSync(join(tmpdir(), 'statements-'));
  mkdirSync(out, { recursive: true });
  for (const name of readdirSync(folder))
    if (name !== `${stackName}.template.json`) symlinkSync(join(folder, name), join(out, name));
  writeFileSync(join(out, `${stackName}.template.json`), JSON.stringify(template));
  return out;
}

/**
 * A cluster forms, a worker is replaced, another one breaks and is replaced, as is a manager, and every queue is asked
 * without TLS. What was wrong, in sentences.
 */
async function rehearse(assembly: { folder: string; stackName: string }, deaf?: string): Promise<string[]> {
  const story = Story.of(assembly, { hears: (name) => name !== deaf });
  const broken = () => story.invariants.breaches.length > 0 || story.stack instanceof Error;
  await story.until(() => broken() || story.missing().length === 0, 30 * MINUTE);
  if (!broken()) {
    // Notice, two minutes, gone; its group launches another.
    story.cluster.region.interruptSpot(story.workers()[0]!.identity.instanceId);
    await story.pass(3 * MINUTE);
    await story.until(() => broken() || story.missing().length === 0, 30 * MINUTE);
    await publishPorts(story, broken);
    story.workers()[0]?.breakDown();
    story.terminate(story.seat(2)!);
    await story.pass(MINUTE);
    await story.until(() => broken() || story.missing().length === 0, 30 * MINUTE);
  }
  return [
    ...story.invariants.breaches,
    ...(story.stack instanceof Error ? [story.stack.message] : []),
    ...(await queuesOpenToPlainHttp(story)),
  ];
}

/** What a load balancer follows: made, changed, taken away, and refused. */
async function publishPorts(story: Story, broken: () => boolean): Promise<void> {
  if (story.cluster.region.loadBalancers().length === 0) return;
  const web = (more: Partial<PublishedPort>): PublishedPort => ({
    service: 'web',
    port: 8001,
    protocol: 'tcp',
    mode: 'ingress',
    ...more,
  });
  const certificate = 'arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555';
  for (const ports of [[web({})], [web({ mode: 'host', certificate }), web({ port: 9 })], []]) {
    await story.cluster.clock.finish(story.leader().daemon.publish(ports), MINUTE);
    for (let seconds = 0; seconds < 180 && !broken(); seconds += 10) await story.pass(10_000);
  }
}

async function queuesOpenToPlainHttp({ cluster: { region } }: Story): Promise<string[]> {
  const open: string[] = [];
  for (const { name } of region.queues()) {
    const url = `https://sqs.${region.region}.amazonaws.com/${region.accountId}/${name}`;
    const asked = region.call({
      service: 'sqs',
      action: 'GetQueueAttributes',
      input: { QueueUrl: url, AttributeNames: ['All'] },
      accessKeyId: region.operator.accessKeyId,
      transport: 'plain',
    });
    const denied = await asked.then(
      () => false,
      (error: { code?: string }) => error.code === 'AccessDenied',
    );
    if (!denied) open.push(`operator was allowed sqs:GetQueueAttributes on ${name} without TLS.`);
  }
  return open;
}

/** Names of statements that nothing misses when they are taken out. */
async function missedByNobody(
  { folder, stackName }: Assembly,
  which: (statement: Statement) => boolean,
  least: number,
): Promise<string[]> {
  const template = JSON.parse(readFileSync(join(folder, `${stackName}.template.json`), 'utf8')) as Template;
  expect(await rehearse({ folder: variant(folder, stackName, template), stackName })).toEqual([]);
  const statements = statementsOf(template).filter(which);
  expect(statements.length).toBeGreaterThan(least);
  const unmissed: string[] = [];
  for (const statement of statements) {
    // What node-join and node-leave do, either does, whichever comes first.
    const deaf = /NodeLeave/.test(statement.resource)
      ? 'node-join'
      : /NodeJoin/.test(statement.resource)
        ? 'node-leave'
        : undefined;
    const wrong = await rehearse({ folder: variant(folder, stackName, without(template, statement)), stackName }, deaf);
    const named =
      statement.effect === 'Deny'
        ? wrong.some((line) => /was allowed \S+:\S+ on \S+/.test(line))
        : wrong.some((line) => /\S+ was denied \S+:\S+ on \S+/.test(line));
    if (!named)
      unmissed.push(wrong.length === 0 ? statement.name : `${statement.name}: fails without naming it: ${wrong[0]}`);
  }
  return unmissed.sort();
}

it(
  'the template as it is passes, and each statement taken out of it fails with action, principal and ' +
    'resource; those that nothing misses are listed with the reason',
  async () => {
    expect(await missedByNobody(await assemblies.of(SETUP), () => true, 40)).toEqual(Object.keys(UNEXERCISED).sort());
    expect(Object.keys(UNEXERCISED).length).toBeLessThanOrEqual(5);
  },
);

it('so does each statement that comes with a load balancer', async () => {
  const ofTargets = ({ resource, name }: Statement) =>
    resource.includes('TargetUpdat') || name.includes('WakeTargetUpdate');
  expect(await missedByNobody(await assemblies.of({ ...SETUP, balanced: true }), ofTargets, 12)).toEqual([]);
});
