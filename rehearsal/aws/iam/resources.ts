/** Resource types of IAM. Policies are stored on their roles. */
import type { Iam } from './iam';
import type { PolicyDocument } from './policy';
import { onlyThese, type ResourceTypes } from '../core/resource';

export function iamTypes({ iam }: { iam: Iam }): ResourceTypes {
  return {
    'AWS::IAM::Role': {
      properties: [
        'AssumeRolePolicyDocument',
        'Description',
        'ManagedPolicyArns',
        'MaxSessionDuration',
        'Path',
        'PermissionsBoundary',
        'Policies',
        'RoleName',
        'Tags',
      ],
      create({ logicalId, properties, physicalName }) {
        const role = iam.createRole({
          logicalId,
          name: properties.RoleName ?? physicalName(64),
          path: properties.Path,
          trust: properties.AssumeRolePolicyDocument,
          policies: new Map(
            (properties.Policies ?? []).map((policy: { PolicyName: string; PolicyDocument: PolicyDocument }) => [
              policy.PolicyName,
              policy.PolicyDocument,
            ]),
          ),
          managedPolicyArns: properties.ManagedPolicyArns ?? [],
          boundaryArn: properties.PermissionsBoundary,
        });
        return { id: role.name, attributes: { Arn: role.arn, RoleId: role.roleId } };
      },
      update({ id: name, properties, previous, changed }) {
        onlyThese('AWS::IAM::Role', changed, ['Description', 'Policies', 'Tags']);
        for (const { PolicyName } of previous.Policies ?? []) iam.deleteRolePolicy(name, PolicyName);
        for (const { PolicyName, PolicyDocument } of properties.Policies ?? [])
          iam.putRolePolicy(name, PolicyName, PolicyDocument);
        const role = iam.role(name);
        return { id: name, attributes: { Arn: role.arn, RoleId: role.roleId } };
      },
      delete: (name) => iam.deleteRole(name),
    },
    'AWS::IAM::Policy': {
      properties: ['PolicyDocument', 'PolicyName', 'Roles'],
      create({ properties, physicalName }) {
        for (const role of properties.Roles ?? [])
          iam.putRolePolicy(role, properties.PolicyName, properties.PolicyDocument);
        return { id: physicalName(128) };
      },
      update({ id, properties, previous }) {
        for (const role of previous.Roles ?? []) iam.deleteRolePolicy(role, previous.PolicyName);
        for (const role of properties.Roles ?? [])
          iam.putRolePolicy(role, properties.PolicyName, properties.PolicyDocument);
        return { id };
      },
      delete(_, properties) {
        for (const role of properties.Roles ?? []) iam.deleteRolePolicy(role, properties.PolicyName);
      },
    },
    'AWS::IAM::ManagedPolicy': {
      properties: ['Description', 'ManagedPolicyName', 'Path', 'PolicyDocument', 'Roles'],
      create({ properties, physicalName }) {
        const arn = iam.createManagedPolicy(
          properties.ManagedPolicyName ?? physicalName(128),
          properties.PolicyDocument,
        );
        for (const role of properties.Roles ?? []) iam.attachRolePolicy(role, arn);
        return { id: arn, attributes: { PolicyArn: arn } };
      },
      delete(arn, properties) {
        for (const role of properties.Roles ?? []) iam.detachRolePolicy(role, arn);
        iam.deleteManagedPolicy(arn);
      },
    },
    'AWS::IAM::InstanceProfile': {
      properties: ['InstanceProfileName', 'Path', 'Roles'],
      create({ properties, physicalName }) {
        const profile = iam.createInstanceProfile(
          properties.InstanceProfileName ?? physicalName(128),
          properties.Roles[0],
        );
        return { id: profile.name, attributes: { Arn: profile.arn } };
      },
      delete: (name) => iam.deleteInstanceProfile(name),
    },
  };
}
