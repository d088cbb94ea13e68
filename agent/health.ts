/**
 * Answers health checks of load balancers: whether this node may receive work. `GET /health` on {@link HEALTH_PORT}
 * returns 200, or 503 with the reason, and reveals nothing else about the node.
 *
 * The engine is asked at that moment, so that a hanging engine is unhealthy at once. Everything else is what the agent
 * saw last, so that an unreachable table makes no node unhealthy.
 */
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { isRecent, type Clock } from '../protocol/clock';
import { withoutProxyHeader } from './proxy-header';

/** The reason why this node is unhealthy, as far as the agent knows. Undefined if it is healthy. */
export type Illness = string | undefined;

/** However many checks arrive, the engine is asked once in this time. */
const CACHE_MS = 1_000;
/**
 * Shorter than the timeout of any load balancer (2 s at least):
 * https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
 */
const TIMEOUT_MS = 1_500;
/** Limit for a whole connection: one request and its answer. */
const CONNECTION_MS = 5_000;

export class Health {
  private illness: Illness = 'The agent has just started.';
  private answer: { at: number; answers: Promise<boolean> } | undefined;

  /** @param ping resolves when the engine answers; rejects when it does not within the given milliseconds */
  constructor(
    private readonly ping: (timeoutMs: number) => Promise<void>,
    private readonly clock: Clock,
  ) {}

  /** Records what the agent has just seen. */
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
            body: illness ?? 'This node may receive work.',
          }))
        : Promise.resolve({ status: 404, body: 'Not found. Ask for GET /health.' });
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
      // Anybody in the network may connect, so half a request must not keep a connection open.
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
