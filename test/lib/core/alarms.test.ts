/** Descriptions of alarms are read at night, so what they refer to must exist, and CloudWatch must accept them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FOLLOWED_PORTS_ALARMS, listenerAlarms, loadBalancerAlarms, SWARM_ALARMS } from '../../../lib/core/alarms';

const root = join(__dirname, '../../..');
const troubleshoot = readFileSync(join(root, 'docs/operations/troubleshoot.md'), 'utf8');
const headings = [...troubleshoot.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
const alarmPage = readFileSync(join(root, 'docs/operations/alarms.md'), 'utf8');
const alarms = [
  ...Object.values(SWARM_ALARMS),
  ...Object.values(listenerAlarms(80)),
  ...Object.values(loadBalancerAlarms(1_000)),
  ...Object.values(FOLLOWED_PORTS_ALARMS),
].map(({ id, description }) => ({ id, description }));

test.each(alarms)('the description of $id is whole sentences, no longer than CloudWatch allows', ({ description }) => {
  expect(description).toMatch(/^[A-Z][\x20-\x7e]*\.$/);
  // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
  expect(description.length).toBeLessThanOrEqual(1024);
});

test.each(alarms)('the description of $id refers to a page and a heading that exist', ({ description }) => {
  const pages = description.match(/docs\/[\w/-]+\.md/g) ?? [];
  expect(pages.length).toBeGreaterThan(0);
  expect(pages.filter((page) => !existsSync(join(root, page)))).toEqual([]);
  const named = [...description.matchAll(/[Ss]ee "([^"]+)"/g)].map(([, heading]) => heading);
  expect(named.filter((heading) => !headings.includes(heading))).toEqual([]);
  for (const [, alarm] of description.matchAll(/See (\w+) in docs\/operations\/alarms\.md/g))
    expect(alarmPage).toContain(`### \`${alarm}\``);
});
