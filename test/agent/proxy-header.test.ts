import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { withoutProxyHeader } from '../../agent/proxy-header';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const header = (length: number, body = length) =>
  Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, length >> 8, length & 255]), Buffer.alloc(body, 7)]);
const REQUEST = Buffer.from('GET /health HTTP/1.1\r\n\r\n');

/** What comes out of a connection into which these go, one after the other. */
function through(...parts: Buffer[]) {
  const socket = Object.assign(new EventEmitter(), { destroyed: false, destroy: () => (socket.destroyed = true) });
  const out = { begun: 0, text: '' };
  withoutProxyHeader(socket as unknown as Socket, () => {
    out.begun++;
    socket.on('data', (part: Buffer) => (out.text += part.toString('latin1')));
  });
  for (const part of parts) socket.emit('data', part);
  return { ...out, destroyed: socket.destroyed };
}
const bytes = (whole: Buffer) => [...whole].map((byte) => Buffer.from([byte]));
const passed = { begun: 1, text: REQUEST.toString('latin1'), destroyed: false };

it.each<[string, Buffer[]]>([
  ['without a header', [REQUEST]],
  ['without a header, byte by byte', bytes(REQUEST)],
  ['with an empty header', [header(0), REQUEST]],
  ['with a header in the same packet', [Buffer.concat([header(12), REQUEST])]],
  ['with a header, byte by byte', bytes(Buffer.concat([header(300), REQUEST]))],
  ['with the longest header', [header(2_048 - 16), REQUEST]],
])('a request arrives once and whole %s', (_, parts) => {
  expect(through(...parts)).toEqual(passed);
});

it('a request that begins like the signature, but is none, arrives whole', () => {
  const similar = Buffer.concat([SIGNATURE.subarray(0, 11), Buffer.from('X')]);
  expect(through(...bytes(similar))).toEqual({ begun: 1, text: similar.toString('latin1'), destroyed: false });
});

it('nothing is begun, and no empty data is passed on, before something follows the header', () => {
  expect(through(header(12, 11))).toEqual({ begun: 0, text: '', destroyed: false });
  expect(through(SIGNATURE)).toEqual({ begun: 0, text: '', destroyed: false });
  expect(through(header(12))).toEqual({ begun: 1, text: '', destroyed: false });
});

it('a connection with a header that is too long is closed at once, and nothing of it is kept', () => {
  expect(through(header(2_048 - 15, 0))).toEqual({ begun: 0, text: '', destroyed: true });
  expect(through(header(65_535, 0))).toEqual({ begun: 0, text: '', destroyed: true });
});
