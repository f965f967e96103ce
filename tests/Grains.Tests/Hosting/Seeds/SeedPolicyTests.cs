using OrleansCache.Grains.Hosting.Seeds;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Tests.Hosting.Seeds;

/// <summary>Which silos have a vote.</summary>
public sealed class SeedPolicyTests
{
    private static readonly SeedId[] s_seeds = [.. Enumerable.Range(1, 9).Select(port => new SeedId(new SeedAddress("host", port), Guid.NewGuid()))];

    [Theory]
    [InlineData(3, 1, 1, 1)]
    [InlineData(3, 1, 2, 1)]
    [InlineData(3, 1, 3, 3)]
    [InlineData(3, 1, 9, 3)]
    [InlineData(5, 1, 4, 3)]
    [InlineData(5, 3, 5, 5)]
    [InlineData(1, 1, 9, 1)]
    [InlineData(3, 2, 2, 1)]
    [InlineData(3, 2, 3, 3)]
    [InlineData(3, 5, 5, 5)]
    public void TheSetGrowsToTheLargestOddNumber(int target, int voting, int silos, int expected)
    {
        SeedPolicy policy = new(target);
        SeedSet seeds = new(s_seeds[..voting]);
        for (int i = 0; policy.Next(seeds, Active(Enumerable.Range(0, silos)), [], TimeSpan.FromSeconds(i)) is { } change; i++)
        {
            Assert.True(i < 10, seeds.ToString());
            seeds = Apply(seeds, change);
        }

        Assert.Equal(expected, seeds.Count);
    }

    [Fact]
    public void ASeedThatIsGoneIsReplacedAfterAWhileAndNeverRemoved()
    {
        SeedPolicy policy = new(3);
        SeedSet seeds = new(s_seeds[..3]);
        Assert.Null(policy.Next(seeds, Active([0, 1, 2, 3]), [], TimeSpan.Zero));
        Assert.Null(policy.Next(seeds, Active([1, 2, 3]), [], SeedPolicy.GoneMax - TimeSpan.FromSeconds(1)));
        SeedChange change = policy.Next(seeds, Active([1, 2, 3]), [], SeedPolicy.GoneMax)!.Value;
        Assert.Equal(SeedChange.Replacing(s_seeds[0].Identity, s_seeds[3]), change);
        Assert.Null(policy.Next(seeds, Active([1, 2]), [], TimeSpan.FromHours(1)));
        Assert.Null(policy.Next(seeds, Active([1]), [], TimeSpan.FromHours(2)));
    }

    [Fact]
    public void ASeedThatComesBackInTimeStays()
    {
        SeedPolicy policy = new(3);
        SeedSet seeds = new(s_seeds[..3]);
        for (int i = 0; i < 10; i++)
        {
            TimeSpan start = i * SeedPolicy.GoneMax;
            Assert.Null(policy.Next(seeds, Active([0, 1, 2, 3]), [], start));
            Assert.Null(policy.Next(seeds, Active([1, 2, 3]), [], start + (SeedPolicy.GoneMax / 2)));
        }
    }

    [Fact]
    public void ALostFileIsReplacedAtOnceBecauseAnotherSeedHasItsAddress()
    {
        SeedPolicy policy = new(3);
        SeedSet seeds = new(s_seeds[..3]);
        SeedId anew = s_seeds[0] with { Identity = Guid.NewGuid() };
        SeedCandidate[] active = [.. Active([1, 2, 3]), new SeedCandidate(anew, 100)];
        Assert.Equal(SeedChange.Replacing(s_seeds[0].Identity, anew), policy.Next(seeds, active, [], TimeSpan.Zero));
    }

    [Fact]
    public void ASeedThatHasMovedIsAskedAtItsNewAddress()
    {
        SeedPolicy policy = new(3);
        SeedSet seeds = new(s_seeds[..3]);
        SeedId moved = s_seeds[1] with { Address = new SeedAddress("elsewhere", 1) };
        Assert.Equal(
            SeedChange.Replacing(moved.Identity, moved), policy.Next(seeds, [.. Active([0, 2]), new SeedCandidate(moved, 1)], [], TimeSpan.Zero));
    }

    [Fact]
    public void WhatAnOperatorHasTakenOutStaysOut()
    {
        SeedPolicy policy = new(3);
        SeedSet seeds = new(s_seeds[1], s_seeds[2], s_seeds[3]);
        Assert.Null(policy.Next(seeds, Active([0, 1, 2, 3]), [s_seeds[0].Identity], TimeSpan.Zero));
        Assert.Null(policy.Next(new SeedSet(s_seeds[..4]), Active([0, 1, 2, 3, 4]), [], TimeSpan.Zero));
    }

    [Fact]
    public void WhoLeavesHandsItsVoteOver()
    {
        SeedSet seeds = new(s_seeds[..3]);
        SeedCandidate[] others = Active([1, 2, 3, 4]);
        Assert.Equal(SeedChange.Replacing(s_seeds[0].Identity, s_seeds[4]), SeedPolicy.OnLeaving(s_seeds[0], seeds, others, [s_seeds[3].Identity]));
        Assert.Equal(SeedChange.Removing(s_seeds[0].Identity), SeedPolicy.OnLeaving(s_seeds[0], seeds, Active([1, 2]), []));
        Assert.Equal(SeedChange.Replacing(s_seeds[0].Identity, s_seeds[1]), SeedPolicy.OnLeaving(s_seeds[0], new SeedSet(s_seeds[0]), Active([1]), []));
        Assert.Null(SeedPolicy.OnLeaving(s_seeds[0], new SeedSet(s_seeds[0]), [], []));
        Assert.Null(SeedPolicy.OnLeaving(s_seeds[5], seeds, Active([0, 1, 2]), []));
    }

    private static SeedCandidate[] Active(IEnumerable<int> silos) => [.. silos.Select(number => new SeedCandidate(s_seeds[number], number))];

    private static SeedSet Apply(SeedSet seeds, SeedChange change)
    {
        IEnumerable<SeedId> rest = seeds.Where(seed => seed.Identity != change.Remove);
        return new SeedSet(change.Add is { } added ? rest.Append(added) : rest);
    }
}
