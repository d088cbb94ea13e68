/** Checks the templates with aws-cdk-lib's validator, which is on only here, and with cfn-lint if it is installed. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { ListenerCertificate, Protocol } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as kms from 'aws-cdk-lib/aws-kms';
import { SwarmCluster } from '../../lib';

const repository = join(__dirname, '../..');
let reference: string;
let rich: string;

/** Runs the reference app as the CDK CLI does, without credentials. */
function runApp(outdir: string, context: Record<string, unknown>, validation: string) {
  const env = {
    PATH: process.env.PATH,
    HOME: outdir,
    AWS_EC2_METADATA_DISABLED: 'true',
    CDK_OUTDIR: outdir,
    CDK_CONTEXT_JSON: JSON.stringify(context),
    CDK_VALIDATION: validation,
  };
  return spawnSync(process.execPath, ['--import', 'tsx', 'bin/app.ts'], { cwd: repository, encoding: 'utf8', env });
}
const templateOf = (outdir: string, stack: string) =>
  JSON.parse(readFileSync(join(outdir, `${stack}.template.json`), 'utf8'));
const groupsOf = (outdir: string) =>
  Object.values<any>(templateOf(outdir, 'DockerSwarm').Resources)
    .filter(({ Type }) => Type === 'AWS::AutoScaling::AutoScalingGroup')
    .map(({ Properties }) => Properties.MinSize);

/** Synthesises a cluster that uses nearly every option. */
function synthesiseRich(outdir: string) {
  const app = new App({ outdir });
  const stack = new Stack(app, 'Rich');
  const cluster = new SwarmCluster(stack, 'Swarm', {
    encryptionKey: new kms.Key(stack, 'Key'),
    natGateways: 3,
    managers: { count: 5 },
    daemon: { debug: true },
    extraUserData: ['echo "$HOME"'],
  });
  const types = ['c7g.large', 'm7g.large'].map((type) => new ec2.InstanceType(type));
  const spot = cluster.addWorkers('Spot', {
    minCapacity: 0,
    maxCapacity: 30,
    instanceTypes: types,
    spot: { onDemandBase: 1 },
    labels: { tier: 'batch' },
  });
  const certificates = [
    ListenerCertificate.fromArn('arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555'),
  ];
  cluster
    .addLoadBalancer('Public', {
      listeners: [
        { port: 80, healthCheck: { port: 80, path: '/' } },
        { port: 443, targetPort: 80, certificates },
        { port: 53, protocol: Protocol.UDP },
      ],
      nodes: 'workers',
      proxyProtocol: true,
      crossZone: false,
      followPublishedPorts: { from: 8000, to: 8999 },
    })
    .addAlarms();
  cluster.addLoadBalancer('Inner', { listeners: [{ port: 5432 }], internal: true, nodes: [spot] });
  app.synth();
}

beforeAll(() => {
  reference = mkdtempSync(join(tmpdir(), 'reference-'));
  rich = mkdtempSync(join(tmpdir(), 'rich-'));
});
afterAll(() => [reference, rich].forEach((folder) => rmSync(folder, { recursive: true, force: true })));

test(
  'the reference app synthesises three managers and two workers without credentials, and the validator of ' +
    'aws-cdk-lib finds nothing',
  () => {
    const { status, stdout, stderr } = runApp(reference, {}, 'true');
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(groupsOf(reference)).toEqual(['1', '1', '1', '2']);
    expect(JSON.parse(readFileSync(join(reference, 'validation-report.json'), 'utf8')).pluginReports).toEqual([]);
  },
  60_000,
);

test('the validator finds nothing in a template that uses nearly every option either', () => {
  const before = process.env.CDK_VALIDATION;
  process.env.CDK_VALIDATION = 'true';
  try {
    synthesiseRich(rich);
  } finally {
    process.env.CDK_VALIDATION = before;
  }
  expect(JSON.parse(readFileSync(join(rich, 'validation-report.json'), 'utf8')).pluginReports).toEqual([]);
}, 60_000);

// If cfn-lint is not installed, test/global-teardown.js says so loudly.
const testWithCfnLint = spawnSync('cfn-lint', ['--version']).status === 0 ? test : test.skip;

testWithCfnLint(
  'cfn-lint has neither errors nor warnings',
  () => {
    const { status, stdout, stderr } = spawnSync(
      'cfn-lint',
      [join(reference, 'DockerSwarm.template.json'), join(rich, 'Rich.template.json')],
      { encoding: 'utf8' },
    );
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  },
  120_000,
);

test('the reference app takes the number of managers and workers from the context', () => {
  const outdir = mkdtempSync(join(tmpdir(), 'context-'));
  try {
    expect(runApp(outdir, { managers: '5', workers: '3' }, 'false').status).toBe(0);
    expect(groupsOf(outdir)).toEqual(['1', '1', '1', '1', '1', '3']);
    expect(runApp(outdir, { managers: 1, workers: 0 }, 'false').status).toBe(0);
    expect(groupsOf(outdir)).toEqual(['1']);
    const refused = runApp(outdir, { managers: '2' }, 'false');
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain('count (2) must be 1, 3, 5 or 7: 2 managers tolerate no more failures than 1.');
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}, 60_000);
