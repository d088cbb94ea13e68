/** S3, as far as published assets need it: files that nodes download, and the code folders of functions. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AwsError, type Service } from '../core/types';

interface StoredObject {
  /** The published file, or the folder of a zip asset. */
  path: string;
  packaging: 'file' | 'zip';
}

export class S3 implements Service {
  private readonly objects = new Map<string, StoredObject>();
  /** A cache of served files: every node of a fleet downloads the same one. */
  private readonly contents = new Map<StoredObject, { body: Buffer; etag: string }>();

  publish(bucket: string, key: string, object: StoredObject): void {
    this.objects.set(`${bucket}/${key}`, object);
  }

  /** The folder of a published zip asset (a function's code). @throws AwsError when it was not published */
  folder(bucket: string, key: string): string {
    const object = this.object(bucket, key);
    if (object.packaging !== 'zip')
      throw new AwsError(
        'InvalidParameterValueException',
        `Could not unzip uploaded file ${bucket}/${key}. Please check your file, then try to upload again.`,
      );
    return object.path;
  }

  async call(action: string, input: Record<string, any>): Promise<Record<string, any>> {
    if (action !== 'GetObject' && action !== 'HeadObject')
      throw new Error(`The emulation does not know the action '${action}' of S3. It knows GetObject, HeadObject.`);
    const object = this.object(input.Bucket, input.Key);
    if (object.packaging === 'zip')
      throw new Error(
        `The emulated S3 keeps the asset ${input.Key} as a folder for its function; it does not serve it as a file.`,
      );
    const { body, etag } = this.content(object);
    const head = { ContentLength: body.length, ContentType: 'application/octet-stream', ETag: `"${etag}"` };
    return action === 'HeadObject' ? head : { ...head, Body: body };
  }

  private content(object: StoredObject): { body: Buffer; etag: string } {
    let content = this.contents.get(object);
    if (!content) {
      const body = readFileSync(object.path);
      this.contents.set(object, (content = { body, etag: createHash('md5').update(body).digest('hex') }));
    }
    return content;
  }

  private object(bucket: string, key: string): StoredObject {
    const object = this.objects.get(`${bucket}/${key}`);
    if (!object) throw new AwsError('NoSuchKey', 'The specified key does not exist.', 404);
    return object;
  }
}
