using System.Runtime;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// Lets a silo that joins others wait, before it becomes a member, until the runtime's compiler has nothing to do.
/// <para>
/// Reason: as long as methods are compiled for the first time, the runtime puts off what it does to all of them next (counting their calls, to compile those
/// anew that matter), and then does it for thousands at once, under a lock that every thread needs that calls anything for the first time. Measured in a silo
/// that joins on a busy machine: 100 to 180 ms in which it answers nothing, just when it has taken its first partitions over. So that is let happen before.
/// </para>
/// </summary>
internal sealed class CompilerRest(IClusterMembershipService membership, TimeProvider time) : ILifecycleParticipant<ISiloLifecycle>
{
    /// <summary>Longer than the runtime's own wait (TieredCompilation.CallCountingDelayMs: 25 ms, set in the silo's project).</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(75);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(15);
    private static readonly TimeSpan WaitMax = TimeSpan.FromSeconds(1);

    /// <summary>Methods that may be compiled in <see cref="Poll"/> by what runs all the time.</summary>
    private const int Few = 3;

    public void Participate(ISiloLifecycle lifecycle) => lifecycle.Subscribe(nameof(CompilerRest), ServiceLifecycleStage.BecomeActive - 1, WaitAsync);

    private async Task WaitAsync(CancellationToken cancellationToken)
    {
        // Nobody waits for the first one but its operator.
        if (!membership.CurrentSnapshot.Members.Values.Any(static member => member.Status == SiloStatus.Active))
            return;
        long began = time.GetTimestamp();
        long quietSince = began;
        long compiled = JitInfo.GetCompiledMethodCount();
        while (time.GetElapsedTime(quietSince) < Quiet && time.GetElapsedTime(began) < WaitMax)
        {
            await Task.Delay(Poll, time, cancellationToken);
            long now = JitInfo.GetCompiledMethodCount();
            if (now - compiled > Few)
                quietSince = time.GetTimestamp();
            compiled = now;
        }
    }
}
