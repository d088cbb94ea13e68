/**
 * The permissions that S3's actions need. HeadObject needs the permission of GetObject. Bucket ARNs have neither region
 * nor account. https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
 */
import type { Permissions } from '../iam/permission';

export const s3Permissions: Permissions = (action, { Bucket, Key }) =>
  action === 'GetObject' || action === 'HeadObject'
    ? [{ action: 's3:GetObject', resource: `arn:aws:s3:::${Bucket}/${Key}` }]
    : undefined;
