/**
 * Docker itself: real engines, each in the namespaces of a node, against the suite that the simulated ones pass
 * (test/rehearsal/simulation/docker).
 */
import { join } from 'node:path';
import { systemClock as clock } from '../../protocol/clock';
import { describeEngine } from '../rehearsal/simulation/docker/conformance';
import { RealEngines } from './conformance-engines';
import { bundle, machineState, PROJECT, temporaryFolder, testOnRealNodes, traces } from './support';

const AWS_STAND_IN = join(PROJECT, 'dist/rehearsal/stand-ins/aws.js');
const run = `test-${clock.uuid().slice(0, 8)}`;
let before: string;

/** A sentence waits for its whole scene, and a scene for those before it. */
jest.setTimeout(20 * 60_000);
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
  // Two processors carry the engines of a third of the scenes, and still may be somebody else's for a minute.
  atOnce: 4,
  tries: 2,
  test: testOnRealNodes,
});
