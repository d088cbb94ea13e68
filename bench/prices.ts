/** Published prices of us-east-1 in USD, without free tiers. */

/**
 * DynamoDB, on demand: https://aws.amazon.com/dynamodb/pricing/on-demand/ . Reading a table's stream from Lambda is
 * free: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.Lambda.html
 */
export const WRITE_REQUEST_UNIT = 0.625e-6;
export const READ_REQUEST_UNIT = 0.125e-6;

/**
 * Lambda on arm64: https://aws.amazon.com/lambda/pricing/ . EventBridge's schedules and the events of AWS services are
 * free: https://aws.amazon.com/eventbridge/pricing/
 */
export const LAMBDA_REQUEST = 0.2e-6;
export const LAMBDA_GB_SECOND = 0.0000133334;

/** Standard queues: https://aws.amazon.com/sqs/pricing/ */
export const SQS_REQUEST = 0.4e-6;
