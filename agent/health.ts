/**
 * What load balancers ask a node: whether it may be sent work. `GET /health` on {@link HEALTH_PORT} is 200 or 503, with
 * the reason in words, and says nothing else of the node.
 *
 * The engine is asked at that moment, so that one that hangs counts as ill at once; the rest is what the agent saw
 * last, so that a table that cannot be reached makes no node ill.
 */
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { isRecent, type Clock } from '../protocol/clock';
import { withoutProxyHeader } from './proxy-header';

/** What the agent knows. Undefined when nothing speaks against this node. */
export type Illness = string | undefined;

/** However many ask, the engine is asked once in this time. */
const CACHE_MS = 1_000;
/**
 * Shorter than any load balancer waits for an answer (2 s at least):
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
 */
const TIMEOUT_MS = 1_500;
/** A whole connection: one request, and its answer. */
const CONNECTION_MS = 5_000;

export class Health {
  private illness: Illness = 'The agent has just started.';
  private answer: { at: number; answers: Promise<boolean> } | undefined;

  /** @param ping resolves when the engine answers, and rejects when it does not within so many milliseconds */
  constructor(
    private readonly ping: (timeoutMs: number) => Promise<void>,
    private readonly clock: Clock,
  ) {}

  /** What the agent has just seen. */
  see(illness: Illness): void {
    this.illness = illness;
  }

  async check(): Promise<Illness> {
    return (await this.engineAnswers()) ? this.illness : 'The Docker engine does not answer.';
  }

  listen(port: number): Server {
    const http = createHttpServer((request, response) => {
      const { method, url } = request;
      const isHealth = url === '/health' && (method === 'GET' || method === 'HEAD');
      const answer = isHealth
        ? this.check().then((illness) => ({
            status: illness === undefined ? 200 : 503,
            body: illness ?? 'This node may be sent work.',
          }))
        : Promise.resolve({ status: 404, body: 'There is only GET /health.' });
      void answer.then(({ status, body }) =>
        response
          .writeHead(status, {
            'content-type': 'text/plain',
            'content-length': Buffer.byteLength(body) + 1,
            connection: 'close',
          })
          .end(`${body}\n`),
      );
    });
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      // Anybody in the network may ask: nobody keeps the agent busy with half a request.
      void this.clock.sleep(CONNECTION_MS).then(() => socket.destroy());
      socket.on('error', () => socket.destroy());
      withoutProxyHeader(socket, () => http.emit('connection', socket));
    });
    server.maxConnections = 100;
    return server.listen(port);
  }

  private engineAnswers(): Promise<boolean> {
    const now = this.clock.now();
    if (!this.answer || !isRecent(this.answer.at, now, CACHE_MS)) {
      const answers = this.ping(TIMEOUT_MS).then(
        () => true,
        () => false,
      );
      this.answer = { at: now, answers };
    }
    return this.answer.answers;
  }
}
