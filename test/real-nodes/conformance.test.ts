/** Docker itself: real engines, each in the namespaces of a node, against the suite that the simulated ones pass (test/rehearsal/simulation/docker). */
import { join } from 'node:path';
import { systemClock as clock } from '../../protocol/clock';
import { describeEngine } from '../rehearsal/simulation/docker/conformance';
import { RealEngines } from './conformance-engines';
import { bundle, machineState, PROJECT, temporaryFolder, testOnRealNodes, traces } from './support';

const AWS_STAND_IN = join(PROJECT, 'dist/rehearsal/stand-ins/aws.js');
const run = `test-${clock.uuid().slice(0, 8)}`;
let before: string;

/** All scenes begin at once, and a sentence waits for those before it in its scene. */
jest.setTimeout(10 * 60_000);
let engines: RealEngines | undefined;

describeEngine('Docker', {
  async begin() {
    before = machineState();
    engines = await RealEngines.make(run, temporaryFolder(), bundle('conformance-region'), AWS_STAND_IN);
    return engines;
  },
  finish: (work) => work,
  async end() {
    await engines?.end();
    expect(traces(run)).toEqual([]);
    expect(machineState()).toEqual(before);
  },
  test: testOnRealNodes,
});
