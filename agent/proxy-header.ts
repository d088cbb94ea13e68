/**
 * The header of the PROXY protocol, version 2, with which a connection may begin. A load balancer that sends it to
 * services puts it ahead of its health checks, too (https://github.com/haproxytech/kubernetes-ingress/issues/463,
 * https://github.com/cilium/cilium/issues/26274). What it says is of no interest here.
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt (2.2)
 */
import type { Socket } from 'node:net';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
/** Signature, version and command, family, and the length of the rest. */
const FIXED_BYTES = 16;
/** Addresses and extensions take a few hundred bytes at most. */
const MAX_BYTES = 2_048;

/**
 * Takes the header off, where there is one.
 * @param then is called once, to listen to the socket: what follows comes as its data. Never for a connection that ends
 * before, or sends too long a header
 */
export function withoutProxyHeader(socket: Socket, then: () => void): void {
  let seen = Buffer.alloc(0);
  socket.on('data', look);

  function look(chunk: Buffer): void {
    seen = Buffer.concat([seen, chunk]);
    const end = headerEnd(seen);
    if (end !== undefined && end > MAX_BYTES) return void socket.destroy();
    if (end === undefined || seen.length < end) return;
    socket.off('data', look);
    then();
    if (seen.length > end) socket.emit('data', seen.subarray(end));
  }
}

/** Where it ends: 0 where there is none, undefined while nobody can tell. */
function headerEnd(seen: Buffer): number | undefined {
  const length = Math.min(seen.length, SIGNATURE.length);
  if (!seen.subarray(0, length).equals(SIGNATURE.subarray(0, length))) return 0;
  return seen.length < FIXED_BYTES ? undefined : FIXED_BYTES + seen.readUInt16BE(FIXED_BYTES - 2);
}
