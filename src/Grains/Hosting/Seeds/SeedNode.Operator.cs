using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

// What an operator sees of the seeds and does to them.
internal sealed partial class SeedNode
{
    /// <summary>In stats: whether this silo has a vote, how many have, and whether it cannot read the membership.</summary>
    public StatisticValue[] ReadStatistics()
    {
        SeedSet? seeds = Table.Newest?.Seeds;
        return
        [
            new("seed", seeds?.Contains(Self.Identity) == true ? 1 : 0),
            new("seeds", seeds?.Count ?? 0),
            new("membership_unreadable", _isUnavailable ? 1 : 0),
        ];
    }

    public async Task<SeedOverview> ReadOverviewAsync(CancellationToken cancellationToken)
    {
        bool isReadable = true;
        try
        {
            await Table.ReadAll().WaitAsync(cancellationToken);
        }
        catch (RegisterUnavailableException)
        {
            isReadable = false;
        }

        SeedSet seeds = Table.Newest!.Seeds;
        MembershipContent content = Table.NewestContent!;
        SeedCandidate[] active = Active(content);
        IEnumerable<SeedState> votes = seeds.Select(
            seed => new SeedState(SiloPlace(seed.Address), true, Array.Exists(active, silo => silo.Seed.Identity == seed.Identity), false));
        IEnumerable<SeedState> others = active.Where(silo => silo.Seed != default && !seeds.Contains(silo.Seed.Identity)).OrderBy(silo => silo.Age)
            .Select(silo => new SeedState(SiloPlace(silo.Seed.Address), false, true, content.Barred.Contains(silo.Seed.Identity)));
        return new SeedOverview(_options.Target, isReadable, [.. votes.OrderBy(seed => seed.Silo, StringComparer.Ordinal), .. others]);
    }

    /// <summary>Null: done; otherwise why not.</summary>
    public async Task<string?> ChangeVoteAsync(string silo, bool add, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                await Table.ReadAll().WaitAsync(cancellationToken);
                RegisterSnapshot snapshot = Table.Newest!;
                MembershipContent content = Table.NewestContent!;
                (SeedChange? change, string? refusal) = add ? Adding(silo, snapshot.Seeds, content) : Removing(silo, snapshot.Seeds, content);
                if (refusal is not null)
                    return refusal;
                if (change is not { } needed)
                    return null;

                // First the bar, so that no silo undoes it meanwhile; it says nothing about the set itself.
                Guid seed = needed.Remove ?? needed.Add!.Value.Identity;
                if (content.Barred.Contains(seed) == add)
                    await Table.ChangeAsync(current => current.Bar(seed, !add), cancellationToken);
                else if (await ChangeAsync(snapshot, needed, cancellationToken))
                    return null;
            }
        }
        catch (Exception exception) when (exception is RegisterUnavailableException or ArgumentException)
        {
            return exception.Message;
        }
    }

    private (SeedChange? Change, string? Refusal) Adding(string silo, SeedSet seeds, MembershipContent content)
    {
        SeedId[] meant = [.. Active(content).Select(one => one.Seed).Where(seed => seed != default && SiloPlace(seed.Address) == silo)];
        return meant.Length == 0 ? (null, $"{silo} is no active silo that keeps a seed")
            : seeds.Contains(meant[0].Identity) ? (null, null)
            : seeds.Count >= Limits.SeedsMax ? (null, $"there are {seeds.Count} seeds, and no more are possible")
            : (SeedChange.Adding(meant[0]), null);
    }

    private (SeedChange? Change, string? Refusal) Removing(string silo, SeedSet seeds, MembershipContent content)
    {
        SeedId meant = seeds.FirstOrDefault(seed => SiloPlace(seed.Address) == silo);
        if (meant == default)
            return Active(content).Any(one => SiloPlace(one.Seed.Address) == silo) ? (null, null) : (null, $"{silo} is no seed");
        SeedCandidate[] active = Active(content);
        SeedId heir = active.Where(one => one.Seed != default && !seeds.Contains(one.Seed.Identity) && !content.Barred.Contains(one.Seed.Identity))
            .OrderBy(one => one.Age).Select(one => one.Seed).FirstOrDefault();
        if (heir != default)
            return (SeedChange.Replacing(meant.Identity, heir), null);
        if (seeds.Count == 1)
            return (null, $"{silo} is the only seed, and no other silo could take its place");
        int living = seeds.Count(seed => seed != meant && active.Any(one => one.Seed.Identity == seed.Identity));
        return living < ((seeds.Count - 1) / 2) + 1 ? (null, "the seeds that are up would be no majority of the rest")
            : (SeedChange.Removing(meant.Identity), null);
    }
}
