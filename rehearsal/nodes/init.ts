/**
 * The two shell scripts that turn a process in new namespaces into an instance: the first builds its root, the second
 * is its process 1.
 */
import { STAND_INS } from '../stand-ins/install';
import { mountScript, type Hierarchy } from './cgroups';

/**
 * The environment of every program of an instance. The stand-ins are in /usr/bin, which must come first. It has no
 * region: instances do not set one either.
 */
export function environmentOf(endpoint: string): string[] {
  return [
    'PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin',
    'LANG=C.UTF-8',
    `AWS_ENDPOINT_URL=${endpoint}`,
  ];
}

/**
 * Runs on the host's root, in the node's namespaces. Arguments: the node's folder, host name, address, prefix length,
 * router, Node.js binary, dockerd, then the environment. Prints its process id, then waits for a line, which says that
 * `eth0` is there.
 */
export function buildScript(hierarchies: Hierarchy[]): string {
  return `set -eu
read -r pid rest < /proc/self/stat
echo "pid $pid"
folder=$1 name=$2 address=$3 prefix=$4 router=$5 node=$6 dockerd=$7
shift 7
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cd "$folder/root"
mount --bind "$node" ${STAND_INS}/node-22
mount --bind "$dockerd" ${STAND_INS}/dockerd
# As on Amazon Linux's image, user data has to install both. (Removed in the overlay only.)
for place in usr/sbin usr/bin usr/local/sbin usr/local/bin; do rm -f $place/dockerd $place/node $place/node-22; done
mount -t proc proc proc
mount -t sysfs sysfs sys
${mountScript(hierarchies)}
mount -t tmpfs -o mode=755 tmpfs dev
mkdir -p dev/pts dev/shm dev/disk/by-id
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty dev/
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
mkdir -p etc/docker etc/systemd/system
# The instance must not see the machine's own engine configuration, services, logs and homes.
for place in run tmp root home var/log etc/docker etc/systemd/system; do mount -t tmpfs -o mode=755 tmpfs $place; done
chmod 1777 tmp
# overlay2 does not work on an overlay. The parent folder is mounted, so that /var/lib/docker itself becomes a mount point only when a volume is mounted there.
mount --bind "$folder/var-lib" var/lib
echo "$name" > proc/sys/kernel/hostname
read -r go
ip link set lo up
ip addr add "$address/$prefix" dev eth0
ip link set eth0 up
ip route add default via "$router"
pivot_root . .
umount -l .
exec env -i "$@" /bin/bash /${STAND_INS}/init
`;
}

/**
 * Process 1 of an instance: runs user data once, as cloud-init does, and prints its exit status; reaps orphans (a shell
 * does); on the line `poweroff` stops the services and ends. It also ends when its standard input is closed.
 */
export const INIT = `cd /
echo running
{ /${STAND_INS}/user-data < /dev/null > /var/log/cloud-init-output.log 2>&1; echo "user-data $?"; } &
exec 1>&2
while read -r line; do
  case "$line" in
    poweroff)
      for state in /run/systemd/stand-in/*/; do systemctl stop "$(basename "$state")" & done
      wait
      exit 0 ;;
  esac
done
`;
