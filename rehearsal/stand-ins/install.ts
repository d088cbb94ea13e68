/** Puts the stand-ins and the node's own configuration into the upper layer of a node, over the host's commands. */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DNF } from './dnf';
import { SYSTEMCTL } from './systemctl';

/** Where an instance keeps the stand-ins, below its root. */
export const STAND_INS = 'usr/lib/stand-ins';

/** @param awsBundle the bundle of `aws.ts` */
export function installStandIns(upper: string, awsBundle: string): void {
  write(upper, 'usr/bin/dnf', DNF, 0o755);
  write(upper, 'usr/bin/systemctl', SYSTEMCTL, 0o755);
  write(upper, 'usr/bin/aws', `#!/bin/sh\nexec /${STAND_INS}/node-22 /${STAND_INS}/aws.js "$@"\n`, 0o755);
  // The machine's own binaries are mounted over these files when the node starts; dnf.ts links to them.
  for (const name of ['node-22', 'dockerd']) write(upper, join(STAND_INS, name), '', 0o755);
  copyFileSync(awsBundle, join(upper, STAND_INS, 'aws.js'));
}

/** @param hostName as EC2 derives it from the private address */
export function configureHost(upper: string, hostName: string, address: string): void {
  write(upper, 'etc/hostname', `${hostName}\n`);
  write(upper, 'etc/hosts', `127.0.0.1 localhost\n${address} ${hostName}\n`);
  // Nothing listens there, so DNS look-ups fail at once instead of timing out.
  write(upper, 'etc/resolv.conf', 'nameserver 127.0.0.1\n');
}

function write(upper: string, path: string, content: string, mode = 0o644): void {
  const file = join(upper, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}
