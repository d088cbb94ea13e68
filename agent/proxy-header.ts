/**
 * Skips the header of the PROXY protocol, version 2, that a connection may start with. A load balancer that sends it to
 * services also sends it with its health checks (https://github.com/haproxytech/kubernetes-ingress/issues/463,
 * https://github.com/cilium/cilium/issues/26274). Its contents are ignored.
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt (2.2)
 */
import type { Socket } from 'node:net';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
/** Signature, version and command, family, and the length of the rest. */
const FIXED_BYTES = 16;
/** Addresses and extensions have a few hundred bytes at most. */
const MAX_BYTES = 2_048;

/**
 * Removes the header, if there is one.
 * @param then is called once, to listen to the socket; the rest arrives as its data. Not called for a connection that
 * ends before, or whose header is too long
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

/** The offset where the header ends: 0 if there is none, undefined until enough bytes have arrived. */
function headerEnd(seen: Buffer): number | undefined {
  const length = Math.min(seen.length, SIGNATURE.length);
  if (!seen.subarray(0, length).equals(SIGNATURE.subarray(0, length))) return 0;
  return seen.length < FIXED_BYTES ? undefined : FIXED_BYTES + seen.readUInt16BE(FIXED_BYTES - 2);
}
