/** What the parts of the emulated AWS, and the machines and functions below it, know of each other. */

/** Who calls: resolved from the access key of the request. */
export interface Principal {
  accessKeyId: string;
  /** Logical id of the template's role. */
  role: string;
  /** `arn:aws:sts::<account>:assumed-role/<role name>/<session>` */
  arn: string;
  /** `<roleId>:<session>`; the session of an EC2 instance is its instance id, that of a function its name. */
  userId: string;
}

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

/** An error as AWS answers it: `code` is what the SDK gives as the error's `name`. */
export class AwsError extends Error {
  constructor(
    readonly code: string,
    message: string,
    /** HTTP status. */
    readonly status = 400,
    /** Further members of the error's body, e.g. `CancellationReasons`. */
    readonly members: Record<string, unknown> = {},
  ) {
    super(message);
  }
}

/**
 * One AWS service: inputs and outputs have the shapes of the SDK's commands (`GetItem` takes a `GetItemCommandInput`,
 * ...).
 */
export interface Service {
  /** @throws AwsError as AWS would; an action that the emulation does not know is an Error that names it. */
  call(action: string, input: Record<string, any>, principal: Principal): Promise<Record<string, any>>;
}

/** How the SDK's client speaks to a service. https://smithy.io/2.0/aws/protocols/index.html */
export interface Wire {
  protocol: 'json' | 'query' | 'ec2' | 's3';
  /** Namespace of the XML answers, or the version of the JSON protocol. */
  dialect: string;
  /** The SDK's client, whose schemas are the shapes of requests and answers: none is written down twice. */
  load(): Promise<object>;
}

/** What an instance is made of, for whoever gives it a body. */
export interface MachineSpec {
  instanceId: string;
  privateIpAddress: string;
  subnetCidr: string;
  availabilityZone: string;
  instanceType: string;
  architecture: 'x86_64' | 'arm64';
  imageId: string;
  lifecycle: 'on-demand' | 'spot';
  /** Decoded: the text of the script. */
  userData: string;
  tags: Record<string, string>;
}

/** What a load balancer asks a target: whether it takes a connection, or answers a path with a status of 200 to 399. */
export interface HealthCheck {
  protocol: 'TCP' | 'HTTP' | 'HTTPS';
  port: number;
  /** Not with TCP. */
  path?: string;
}

/**
 * Gives instances and volumes a body: real namespaces and loop devices, or simulated ones. All of it may be called
 * again for what is already so.
 */
export interface Machines {
  /** Resolves when the instance runs (its user data has begun). */
  launch(spec: MachineSpec): Promise<void>;
  /** Orderly, as EC2 does it: resolves when nothing of it is left. Volumes are detached. */
  terminate(instanceId: string): Promise<void>;
  createVolume(volumeId: string, sizeGiB: number): Promise<void>;
  /** The device appears in the running instance. */
  attachVolume(instanceId: string, volumeId: string, device: string): Promise<void>;
  detachVolume(instanceId: string, volumeId: string): Promise<void>;
  deleteVolume(volumeId: string): Promise<void>;
  /**
   * Whether the instance answers this check as a load balancer wants it. May reject, and may take its time: whoever
   * asks waits no longer than its own timeout.
   */
  answers(instanceId: string, check: HealthCheck): Promise<boolean>;
}

/** A function of the template, ready to run. */
export interface FunctionSpec {
  logicalId: string;
  name: string;
  /** Folder of the unpacked asset. */
  codePath: string;
  /** `index.handler` */
  handler: string;
  timeoutMs: number;
  environment: Record<string, string>;
  credentials: Credentials;
}

/** Runs functions: as processes over loopback, or in this process. */
export interface FunctionRunner {
  /** Resolves with what the handler returned. Rejects when it threw, timed out or died. */
  invoke(fn: FunctionSpec, event: unknown): Promise<unknown>;
}

/**
 * What happened, for timelines and tests. `subject` is the id of the thing; `what` is a short word; all in the emulated
 * AWS's own truth.
 */
export interface AwsEvent {
  at: number;
  source: 'cloudformation' | 'autoscaling' | 'ec2' | 'lambda' | 'sqs' | 'dynamodb' | 'events' | 'iam' | 'elb';
  what: string;
  subject: string;
  detail: Record<string, unknown>;
}

/** How long AWS takes, in milliseconds. All zero in benchmarks; what was slept because of these is counted apart. */
export interface Delays {
  /** RunInstances until the instance runs. */
  launch: number;
  /** TerminateInstances until it is gone. */
  terminate: number;
  attachVolume: number;
  detachVolume: number;
  /** A message in a queue until its function is invoked. */
  queue: number;
  /** A write until the stream's function is invoked. */
  stream: number;
  /** RegisterTargets until health checks begin: a Network Load Balancer takes minutes. */
  registerTarget: number;
  /** DeregisterTargets until no new connection goes there. */
  deregisterTarget: number;
}
