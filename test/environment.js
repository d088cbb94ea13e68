// The validator that runs in every synth of aws-cdk-lib takes seconds; test/lib/validation.test.ts turns it on again
// for one synth.
process.env.CDK_VALIDATION ??= 'false';
