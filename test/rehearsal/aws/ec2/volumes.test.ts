import { closeWorlds, MINUTE, World } from '../world';
import { seat, withSeat } from './seat';

afterEach(closeWorlds);

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html
test('a volume is attaching until its device is there, then attached', async () => {
  const { world, instanceId, volume, attach } = await withSeat({ delays: { attachVolume: 1_000 } });
  expect(await world.call('ec2', 'AttachVolume', attach())).toMatchObject({ State: 'attaching', Device: '/dev/sdf' });
  expect(volume()).toMatchObject({ state: 'in-use', attachment: { state: 'attaching' } });
  await world.clock.advance(1_000);
  expect(volume().attachment).toMatchObject({ state: 'attached', instanceId: instanceId() });
  expect(world.machines.log.at(-1)).toBe(`attach ${world.physicalId('Volume')} ${instanceId()} /dev/sdf`);
  expect(world.what('ec2').at(-1)).toBe('volume-attached');
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
test('attaching to an instance that is not running is IncorrectState', async () => {
  const world = new World({ delays: { launch: 10_000 } });
  const creation = world.begin(seat());
  await world.clock.run(() => world.region.instances().length > 0, MINUTE);
  const { instanceId } = world.region.instances()[0]!;
  expect(
    await world.refusal('ec2', 'AttachVolume', {
      VolumeId: world.physicalId('Volume'),
      InstanceId: instanceId,
      Device: '/dev/sdf',
    }),
  ).toBe(`IncorrectState: Instance '${instanceId}' is not 'running'.`);
  await world.clock.finish(creation, MINUTE);
});

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
test(
  'attaching is refused for a volume in use, of another zone, at a device that is taken, and for what does ' +
    'not exist',
  async () => {
    const { world, attach } = await withSeat();
    expect(await world.refusal('ec2', 'AttachVolume', attach('Elsewhere'))).toBe(
      `InvalidVolume.ZoneMismatch: The volume '${world.physicalId('Elsewhere')}' is not in the same ` +
        `availability zone as instance '${attach().InstanceId}'`,
    );
    await world.call('ec2', 'AttachVolume', attach());
    expect(await world.refusal('ec2', 'AttachVolume', attach('Volume', '/dev/sdg'))).toBe(
      `VolumeInUse: ${world.physicalId('Volume')} is already attached to an instance`,
    );
    expect(await world.refusal('ec2', 'AttachVolume', { ...attach(), VolumeId: 'vol-0' })).toBe(
      "InvalidVolume.NotFound: The volume 'vol-0' does not exist.",
    );
    expect(
      await world.refusal('ec2', 'AttachVolume', { ...attach('Elsewhere'), InstanceId: 'i-00000000000000000' }),
    ).toBe("InvalidInstanceID.NotFound: The instance ID 'i-00000000000000000' does not exist");
    expect(await world.refusal('ec2', 'AttachVolume', { ...attach('Elsewhere'), InstanceId: 'nonsense' })).toBe(
      'InvalidInstanceID.Malformed: Invalid id: "nonsense"',
    );
  },
);

// Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachVolume.html
test('a detached volume is available again, and a volume that is not attached is IncorrectState', async () => {
  const { world, volume, attach } = await withSeat({ delays: { detachVolume: 500 } });
  await world.call('ec2', 'AttachVolume', attach());
  await world.clock.settle();
  expect(await world.call('ec2', 'DetachVolume', { VolumeId: world.physicalId('Volume') })).toMatchObject({
    State: 'detaching',
  });
  expect(volume().attachment).toMatchObject({ state: 'detaching' });
  await world.clock.advance(500);
  expect(volume()).toMatchObject({ state: 'available', attachment: undefined });
  expect(world.what('ec2').at(-1)).toBe('volume-detached');
  expect(await world.refusal('ec2', 'DetachVolume', { VolumeId: world.physicalId('Volume') })).toBe(
    `IncorrectState: Volume '${world.physicalId('Volume')}' is in the 'available' state.`,
  );
});

// Source: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-detaching-volume.html
test('a volume that the machine does not let go stays attached', async () => {
  const { world, volume, attach } = await withSeat();
  await world.call('ec2', 'AttachVolume', attach());
  await world.clock.settle();
  world.machines.detachVolume = async () => {
    throw new Error('busy');
  };
  await world.call('ec2', 'DetachVolume', { VolumeId: world.physicalId('Volume') });
  await world.clock.settle();
  expect(volume().attachment).toMatchObject({ state: 'attached' });
  expect(world.events.at(-1)).toMatchObject({ what: 'detach-failed', detail: { reason: 'busy' } });
});

// Source: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-detaching-volume.html
test('volumes of an instance that is gone are available, after its machine is', async () => {
  const { world, instanceId, volume, attach } = await withSeat({ delays: { terminate: 5_000 } });
  await world.call('ec2', 'AttachVolume', attach());
  await world.clock.settle();
  await world.call('ec2', 'TerminateInstances', { InstanceIds: [instanceId()] });
  await world.clock.advance(4_999);
  expect(volume().state).toBe('in-use');
  await world.clock.advance(1);
  expect(volume().state).toBe('available');
});
