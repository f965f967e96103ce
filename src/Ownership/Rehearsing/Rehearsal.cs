namespace OrleansCache.Ownership.Rehearsing;

/// <summary>
/// Plays what a silo will do through once, before anybody waits for it: two silos in memory of their own, in one thread, with a clock of their own, which
/// share partitions, write and read through a channel while these move, and part again.
/// <para>
/// What is run for the first time is compiled first, and that takes far longer than what it does. A silo that joins would do it while the clients of the whole
/// cluster wait for what it has just taken over, and one that is there while it hands its first partitions over.
/// </para>
/// <para>Goal: that all of this room's code that clients wait for has run, a few times. Non-goals: checking anything; touching anything that is real.</para>
/// </summary>
public static class Rehearsal
{
    internal const int PartitionCount = 8;
    private const int Keys = 24;

    /// <summary>Several times what it takes.</summary>
    private const int StepsMax = 600;

    /// <summary>True if it came to its end; nothing depends on that. It ends early when it is told to.</summary>
    public static bool Run(CancellationToken cancellationToken)
    {
        // Continuations run at once, here: in one thread.
        SynchronizationContext? former = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            return Play(cancellationToken);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(former);
        }
    }

    private static bool Play(CancellationToken cancellationToken)
    {
        using RehearsalStage stage = new();
        RehearsedSilo first = stage.Add("127.0.0.1:1");
        if (!Reach(static (first, _) => first.Agent.ServedCount == PartitionCount))
            return false;
        RehearsedSilo second = stage.Add("127.0.0.1:2");
        if (!Reach(static (first, second) => IsShared(first) && IsShared(second!)))
            return false;
        second.Agent.BeginDraining();
        return Reach(static (_, second) => second!.Agent.HeldCount == 0);

        bool Reach(Func<RehearsedSilo, RehearsedSilo?, bool> isReached)
        {
            int settled = 0;
            for (int step = 0; step < StepsMax && !cancellationToken.IsCancellationRequested; step++)
            {
                foreach (RehearsedSilo silo in stage.Silos)
                    Use(silo, step);
                stage.Step();
                settled += isReached(first, stage.Silos.Count > 1 ? stage.Silos[1] : null) ? 1 : 0;
                if (settled > Keys)
                    return true;
            }

            return false;
        }
    }

    private static bool IsShared(RehearsedSilo silo) =>
        silo.Agent is { ServedCount: PartitionCount / 2, ReplicaCount: PartitionCount / 2, CopyCount: PartitionCount / 2, IncompleteCopyCount: 0 };

    /// <summary>What clients do most.</summary>
    private static void Use(RehearsedSilo silo, int step)
    {
        if (silo.Channel is null)
            return;
        silo.Execute(CacheOperation.Set, step % Keys, "0"u8);
        silo.Execute(CacheOperation.Get, (step + 7) % Keys, default);
        switch (step % 8)
        {
            case 0:
                silo.Execute(CacheOperation.Add, step % Keys, "1"u8);
                break;
            case 2:
                silo.Execute(CacheOperation.Increment, step % Keys, default);
                break;
            case 4:
                silo.Execute(CacheOperation.Touch, step % Keys, default);
                break;
            case 6:
                silo.Execute(CacheOperation.Delete, step % Keys, default);
                break;
        }

        silo.Channel.Flush();
    }
}
