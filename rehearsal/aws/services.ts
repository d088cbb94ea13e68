/**
 * The emulated services: how they are constructed, and one entry each with everything that the rest of the emulation
 * needs. README.md says how to add one.
 */
import { AutoScaling } from './autoscaling/autoscaling';
import { autoScalingPermissions } from './autoscaling/permissions';
import { autoScalingTypes } from './autoscaling/resources';
import { CustomResources } from './cloudformation/custom-resources';
import { CloudFormation } from './cloudformation/engine';
import { cloudFormationPermissions } from './cloudformation/permissions';
import { cloudFormationTypes } from './cloudformation/resources';
import { cloudWatchTypes } from './cloudwatch/resources';
import type { Context } from './core/context';
import type { ResourceTypes } from './core/resource';
import type { FunctionRunner, Machines, Service, Wire } from './core/types';
import { DynamoDb } from './dynamodb/dynamodb';
import { dynamoDbPermissions } from './dynamodb/permissions';
import { dynamoDbTypes } from './dynamodb/resources';
import { announceInstances } from './ec2/announcements';
import { Ec2 } from './ec2/ec2';
import { ec2Permissions } from './ec2/permissions';
import { ec2Types } from './ec2/resources';
import { LoadBalancers } from './elb/elb';
import { loadBalancingPermissions } from './elb/permissions';
import { loadBalancingTypes } from './elb/resources';
import { Events } from './events/events';
import { eventsPermissions } from './events/permissions';
import { eventsTypes } from './events/resources';
import { Authorization, type Denial } from './iam/authorization';
import { Iam } from './iam/iam';
import type { Permissions } from './iam/permission';
import { iamTypes } from './iam/resources';
import { kmsTypes } from './kms/resources';
import { Lambda } from './lambda/lambda';
import { lambdaTypes } from './lambda/resources';
import { Logs } from './logs/logs';
import { logsPermissions } from './logs/permissions';
import { logsTypes } from './logs/resources';
import { route53Types } from './route53/resources';
import { s3Permissions } from './s3/permissions';
import { S3 } from './s3/s3';
import { sqsPermissions } from './sqs/permissions';
import { sqsTypes } from './sqs/resources';
import { Sqs } from './sqs/sqs';
import { ssmTypes } from './ssm/resources';
import { Ssm } from './ssm/ssm';
import { stsPermissions } from './sts/permissions';
import { Sts, STS_SCHEMAS } from './sts/sts';

interface ServiceEntry {
  /** As in the credential scope of a signature, e.g. `dynamodb`. */
  name: string;
  /** Absent if only templates use the service. */
  api?: {
    wire: Wire;
    service(services: Services): Service;
    /** The permissions that its actions need. */
    permissions(services: Services): Permissions;
    /** The error for calls that IAM denies. @default AccessDenied */
    denial?: Denial;
  };
  /** Its resource types. */
  resources?(services: TemplateServices): ResourceTypes;
  /** Names of what still exists; none once every stack is deleted. */
  remains?(services: Services): string[];
}

export const SERVICES: ServiceEntry[] = [
  {
    name: 'autoscaling',
    api: {
      wire: {
        protocol: 'query',
        dialect: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
        load: () => import('@aws-sdk/client-auto-scaling'),
      },
      service: ({ autoscaling }) => autoscaling,
      permissions: autoScalingPermissions,
    },
    resources: autoScalingTypes,
    remains: ({ autoscaling }) => autoscaling.groupViews().map((group) => group.name),
  },
  {
    name: 'cloudformation',
    api: {
      wire: {
        protocol: 'query',
        dialect: 'http://cloudformation.amazonaws.com/doc/2010-05-15/',
        load: () => import('@aws-sdk/client-cloudformation'),
      },
      service: ({ cloudformation }) => cloudformation,
      permissions: cloudFormationPermissions,
    },
    resources: cloudFormationTypes,
  },
  { name: 'cloudwatch', resources: cloudWatchTypes },
  {
    name: 'dynamodb',
    api: {
      wire: { protocol: 'json', dialect: '1.0', load: () => import('@aws-sdk/client-dynamodb') },
      service: ({ dynamodb }) => dynamodb,
      permissions: dynamoDbPermissions,
      denial: { code: 'AccessDeniedException', status: 400 },
    },
    resources: dynamoDbTypes,
  },
  {
    name: 'ec2',
    api: {
      wire: {
        protocol: 'ec2',
        dialect: 'http://ec2.amazonaws.com/doc/2016-11-15/',
        load: () => import('@aws-sdk/client-ec2'),
      },
      service: ({ ec2 }) => ec2,
      permissions: ec2Permissions,
      denial: {
        code: 'UnauthorizedOperation',
        status: 403,
        prefix: 'You are not authorized to perform this operation. ',
      },
    },
    resources: ec2Types,
    remains: ({ ec2 }) => ec2.remains(),
  },
  {
    name: 'elasticloadbalancing',
    api: {
      wire: {
        protocol: 'query',
        dialect: 'http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/',
        load: () => import('@aws-sdk/client-elastic-load-balancing-v2'),
      },
      service: ({ elb }) => elb,
      permissions: loadBalancingPermissions,
    },
    resources: loadBalancingTypes,
    remains: ({ elb }) => elb.remains(),
  },
  {
    name: 'events',
    api: {
      wire: { protocol: 'json', dialect: '1.1', load: () => import('@aws-sdk/client-eventbridge') },
      service: ({ events }) => events,
      permissions: eventsPermissions,
    },
    resources: eventsTypes,
    remains: ({ events }) => events.allRules().map((rule) => rule.name),
  },
  {
    name: 'iam',
    resources: iamTypes,
    remains: ({ iam }) => iam.allRoles().map((role) => role.name),
  },
  { name: 'kms', resources: kmsTypes },
  {
    name: 'lambda',
    resources: lambdaTypes,
    remains: ({ lambda }) => lambda.allFunctions().map((fn) => fn.name),
  },
  {
    name: 'logs',
    api: {
      wire: { protocol: 'json', dialect: '1.1', load: () => import('@aws-sdk/client-cloudwatch-logs') },
      service: ({ logs }) => logs,
      permissions: logsPermissions,
      denial: { code: 'AccessDeniedException', status: 400 },
    },
    resources: logsTypes,
    remains: ({ logs }) => logs.groupNames(),
  },
  { name: 'route53', resources: route53Types },
  {
    name: 's3',
    api: {
      wire: {
        protocol: 's3',
        dialect: 'http://s3.amazonaws.com/doc/2006-03-01/',
        load: () => import('@aws-sdk/client-s3'),
      },
      service: ({ s3 }) => s3,
      permissions: () => s3Permissions,
    },
  },
  {
    name: 'sqs',
    api: {
      wire: { protocol: 'json', dialect: '1.0', load: () => import('@aws-sdk/client-sqs') },
      service: ({ sqs }) => sqs,
      permissions: sqsPermissions,
    },
    resources: sqsTypes,
    remains: ({ sqs }) => sqs.all().map((queue) => queue.name),
  },
  { name: 'ssm', resources: ssmTypes },
  {
    name: 'sts',
    api: {
      wire: {
        protocol: 'query',
        dialect: 'https://sts.amazonaws.com/doc/2011-06-15/',
        load: async () => STS_SCHEMAS,
      },
      service: ({ sts }) => sts,
      permissions: () => stsPermissions,
    },
  },
];

/** All services except CloudFormation, which needs the resource types of the others. */
type TemplateServices = ReturnType<typeof createTemplateServices>;

export type Services = TemplateServices & { cloudformation: CloudFormation };

/** Constructs services after those they depend on. */
function createTemplateServices(context: Context, machines: Machines, functions: FunctionRunner) {
  const iam = new Iam(context);
  const authorization = new Authorization(context, iam);
  const dynamodb = new DynamoDb(context.clock);
  const logs = new Logs(context);
  const s3 = new S3();
  const ssm = new Ssm();
  const sts = new Sts(context);
  const sqs = new Sqs(context);
  const events = new Events(context, sqs, authorization);
  const ec2 = new Ec2(context, machines, iam, authorization, ssm);
  const autoscaling = new AutoScaling(context, ec2, sqs, events, iam, authorization);
  const elb = new LoadBalancers(context, ec2, machines);
  const lambda = new Lambda(context, iam, authorization, sqs, functions);
  const customResources = new CustomResources({ context, lambda });
  dynamodb.onStreamRecord((tableName, record) => lambda.publish(tableName, { ...record }));
  announceInstances(ec2, events, context);
  return {
    context,
    authorization,
    autoscaling,
    customResources,
    dynamodb,
    ec2,
    elb,
    events,
    iam,
    lambda,
    logs,
    s3,
    sqs,
    ssm,
    sts,
  };
}

export function createServices(context: Context, machines: Machines, functions: FunctionRunner): Services {
  const services = createTemplateServices(context, machines, functions);
  const types: ResourceTypes = Object.assign({}, ...SERVICES.map(({ resources }) => resources?.(services)));
  return { ...services, cloudformation: new CloudFormation(context, types, services.ssm) };
}
