/** The interfaces between the parts of the emulated AWS, and to the machines and functions that it runs. */

/** The caller, resolved from the access key of the request. */
export interface Principal {
  accessKeyId: string;
  /** Logical id of the template's role. */
  role: string;
  /** `arn:aws:sts::<account>:assumed-role/<role name>/<session>` */
  arn: string;
  /** `<roleId>:<session>`; the session name is the id of the instance or the name of the function. */
  userId: string;
}

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

/** An error response of AWS; the SDK exposes `code` as the error's `name`. */
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
  /** @throws AwsError as AWS would; Error for an action that the emulation does not know */
  call(action: string, input: Record<string, any>, principal: Principal): Promise<Record<string, any>>;
}

/** How the SDK's client speaks to a service. https://smithy.io/2.0/aws/protocols/index.html */
export interface Wire {
  protocol: 'json' | 'query' | 'ec2' | 's3';
  /** Namespace of the XML answers, or the version of the JSON protocol. */
  dialect: string;
  /** Loads the SDK's client, whose schemas define the shapes of requests and responses. */
  load(): Promise<object>;
}

/** What is needed to run an instance. */
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

/** A load balancer's health check: the target must accept a connection, or answer a path with status 200 to 399. */
export interface HealthCheck {
  protocol: 'TCP' | 'HTTP' | 'HTTPS';
  port: number;
  /** Absent for TCP. */
  path?: string;
}

/** Runs instances and volumes: as namespaces and loop devices, or simulated. All methods are idempotent. */
export interface Machines {
  /** Resolves when the instance runs (its user data has begun). */
  launch(spec: MachineSpec): Promise<void>;
  /** Shuts down in order, as EC2 does, and detaches volumes. Resolves when nothing of the instance is left. */
  terminate(instanceId: string): Promise<void>;
  createVolume(volumeId: string, sizeGiB: number): Promise<void>;
  /** The device appears in the running instance. */
  attachVolume(instanceId: string, volumeId: string, device: string): Promise<void>;
  detachVolume(instanceId: string, volumeId: string): Promise<void>;
  deleteVolume(volumeId: string): Promise<void>;
  /** Whether the instance passes this health check. May reject, and may take long: callers use their own timeout. */
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
 * Something that happened in the emulated AWS, for timelines and tests. `subject` is the id of the resource, `what` a
 * short word.
 */
export interface AwsEvent {
  at: number;
  source: 'cloudformation' | 'autoscaling' | 'ec2' | 'lambda' | 'sqs' | 'dynamodb' | 'events' | 'iam' | 'elb';
  what: string;
  subject: string;
  detail: Record<string, unknown>;
}

/** How long AWS takes, in milliseconds. All zero in benchmarks; time slept because of these is counted separately. */
export interface Delays {
  /** RunInstances until the instance runs. */
  launch: number;
  /** TerminateInstances until it is gone. */
  terminate: number;
  attachVolume: number;
  detachVolume: number;
  /** From a message's arrival in a queue until its function is invoked. */
  queue: number;
  /** From a write until the stream's function is invoked. */
  stream: number;
  /** RegisterTargets until health checks begin: a Network Load Balancer takes minutes. */
  registerTarget: number;
  /** DeregisterTargets until the target gets no new connections. */
  deregisterTarget: number;
}
