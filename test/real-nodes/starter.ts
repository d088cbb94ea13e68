/** Starts a region whose nodes run for ever, and tells when they do; to be killed by machines.test.ts. */
import { join } from 'node:path';
import { Janitor, makeRunGroups, startRegion } from '../../rehearsal/nodes/namespaces';

const [inside, run, temporary, awsStandIn] = process.argv.slice(2) as [string, string, string, string];
const groups = makeRunGroups(run);
void new Janitor(run, temporary, groups);
const region = startRegion(
  groups,
  [process.execPath, inside, 'hang', run, join(temporary, 'region'), awsStandIn],
  ['ignore', 'inherit', 'inherit', 'ipc'],
  process.env,
);
region.on('message', (message) => process.send!(message));
region.on('exit', () => process.exit(1));
