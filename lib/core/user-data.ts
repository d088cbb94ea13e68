/**
 * The script that an instance runs at its first boot: it installs what is missing and starts the agent, which does the
 * rest. It holds no secret. It runs on Amazon Linux 2023 (x86-64 and arm64), and on any image with bash, curl, systemd,
 * the AWS CLI, and either dnf or both Docker and Node.js 22.
 */
import {
  AGENT_BUNDLE_PATH,
  AGENT_CONFIG_PATH,
  AGENT_LOG_PATH,
  AGENT_SERVICE,
  BOOT_LOG_PATH,
} from '../../protocol/environment';
import type { NodeRole } from '../../protocol/body';

export interface UserDataInput {
  role: NodeRole;
  region: string;
  /** Where the agent's bundle is in S3. */
  agentBucket: string;
  agentKey: string;
  /** Name of the nodes' log group. */
  logGroup: string;
  /** The agent's configuration, as JSON text. */
  agentConfig: string;
  /** The user's lines. They run in a separate bash, after installation and before the agent starts. */
  extraLines: string[];
}

/**
 * Keeps idle connections alive: a virtual IP forgets them after 900 s.
 * https://github.com/moby/moby/issues/31208
 */
const KEEPALIVE = 'net.ipv4.tcp_keepalive_time=600';
const EXTRA_LINES_PATH = `${folderOf(AGENT_BUNDLE_PATH)}/extra-user-data.sh`;

export function renderUserData(input: UserDataInput): string {
  return `${[
    '#!/bin/bash',
    'set -euo pipefail',
    sendBootLogOnFailure(input),
    tryAgain,
    install,
    write('/etc/sysctl.d/90-cdk-docker-swarm.conf', KEEPALIVE),
    `sysctl -q -w ${KEEPALIVE}`,
    `mkdir -p ${folderOf(AGENT_BUNDLE_PATH)}`,
    `again aws s3 cp s3://${input.agentBucket}/${input.agentKey} ${AGENT_BUNDLE_PATH} --region ` +
      `${input.region} --only-show-errors`,
    write(AGENT_CONFIG_PATH, input.agentConfig),
    ...(input.role === 'manager' ? [dockerWaitsForVolume] : []),
    unit,
    ...(input.extraLines.length > 0 ? [runExtraLines(input.extraLines)] : []),
    'systemctl daemon-reload',
    `systemctl enable --now ${AGENT_SERVICE}`,
  ].join('\n')}\n`;
}

/**
 * Sends the boot log to CloudWatch, because an instance whose user data failed is abandoned and soon gone. Only
 * printable ASCII is kept, so that the JSON needs no further escaping.
 */
const sendBootLogOnFailure = ({ region, logGroup }: UserDataInput) => `\
send_boot_log() {
  local status=$?
  if [ "$status" -eq 0 ]; then return; fi
  set +e
  echo "User data failed with status $status."
  local imds=http://169.254.169.254/latest token id text
  token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token)
  id=$(curl -sf -H "X-aws-ec2-metadata-token: $token" $imds/meta-data/instance-id)
  text=$(tail -c 100000 ${BOOT_LOG_PATH} | tr -cd '\\n\\40-\\176' | sed -e 's/[\\\\"]/\\\\&/g' -e 's/$/\\\\n/' | tr -d '\\n')
  printf '[{"timestamp":%s,"message":"%s"}]' "$(date +%s%3N)" "$text" > /run/cdk-docker-swarm-boot.json
  aws logs create-log-stream --region ${region} --log-group-name ${logGroup} --log-stream-name "$id/boot"
  aws logs put-log-events --region ${region} --log-group-name ${logGroup} --log-stream-name "$id/boot" --log-events file:///run/cdk-docker-swarm-boot.json
}
trap send_boot_log EXIT`;

/**
 * Retries commands that need the network for at least three minutes: an instance that gave up at once would be replaced
 * only at its launch deadline of ten minutes.
 */
const tryAgain = `\
again() {
  local attempt
  for attempt in {1..36}; do
    if "$@"; then return; fi
    sleep 5
  done
  "$@"
}`;

const install = `\
find_node() { command -v node-22 || command -v node; }
if ! command -v dockerd > /dev/null || ! find_node > /dev/null; then again dnf install -y docker nodejs22; fi
node=$(find_node)`;

/** A manager's engine must never start on an empty disk instead of its state volume. */
const dockerWaitsForVolume = write(
  '/etc/systemd/system/docker.service.d/cdk-docker-swarm.conf',
  `\
[Unit]
ConditionPathIsMountPoint=/var/lib/docker`,
);

/**
 * KillMode: stopping the agent leaves the processes it started and the volumes it mounted alone. StartLimitIntervalSec:
 * by default systemd gives up on a unit that ends five times within ten seconds, and an IMDS that is slow while the
 * node boots is enough for that.
 * https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#StartLimitIntervalSec=interval
 */
const unit = `\
cat > /etc/systemd/system/${AGENT_SERVICE}.service <<END_OF_FILE
[Unit]
Description=Agent of cdk-docker-swarm
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=$node ${AGENT_BUNDLE_PATH}
Restart=always
RestartSec=1
KillMode=process
StandardOutput=append:${AGENT_LOG_PATH}
StandardError=append:${AGENT_LOG_PATH}

[Install]
WantedBy=multi-user.target
END_OF_FILE`;

/**
 * Runs the user's lines in a separate bash: an `exit` or an unterminated here-document in them would otherwise silently
 * prevent the agent from starting.
 */
function runExtraLines(lines: string[]): string {
  const content = lines.join('\n');
  let marker = 'END_OF_EXTRA_USER_DATA';
  while (content.includes(marker)) marker += '_';
  return `${write(EXTRA_LINES_PATH, content, marker)}\nbash -euo pipefail ${EXTRA_LINES_PATH}`;
}

/** @param marker must not occur as a line of the content */
function write(path: string, content: string, marker = 'END_OF_FILE'): string {
  return `mkdir -p ${folderOf(path)}\ncat > ${path} <<'${marker}'\n${content}\n${marker}`;
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
