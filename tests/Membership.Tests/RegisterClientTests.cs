namespace OrleansCache.Membership.Tests;

public sealed class RegisterClientTests
{
    /// <summary>For what is to fail.</summary>
    private static readonly RegisterClientOptions Hasty = new()
    {
        RoundTimeout = TimeSpan.FromMilliseconds(100), OperationTimeout = TimeSpan.FromMilliseconds(500),
    };

    [Fact]
    public async Task AFounderServesAlone()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(1);
        RegisterSnapshot founded = await client.ReadAsync();
        Assert.Equal((0, SeedCluster.ClusterId, 0), (founded.Version, founded.ClusterId, founded.Content.Length));

        WriteResult written = await client.TryWriteAsync(0, "table"u8.ToArray());
        Assert.True(written.Written);
        Assert.Equal(1, written.Current.Version);
        Assert.Equal("table", Text(await client.ReadAsync()));
        Assert.False(await cluster.Server(1).TryFoundAsync(SeedCluster.Address(1), "another"));
    }

    [Fact]
    public async Task AWriteThatExpectsAnotherVersionChangesNothing()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        long version = (await client.ReadAsync()).Version;
        RegisterClient other = cluster.Client();
        Assert.True((await other.TryWriteAsync(version, "theirs"u8.ToArray())).Written);

        WriteResult late = await client.TryWriteAsync(version, "ours"u8.ToArray());
        Assert.False(late.Written);
        Assert.Equal(version + 1, late.Current.Version);
        Assert.Equal("theirs", Text(late.Current));
    }

    [Fact]
    public async Task AChangeOfTheSameClientTakesOneRoundTripAndOneSave()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        long version = (await client.ReadAsync()).Version;
        version = (await client.TryWriteAsync(version, "first"u8.ToArray())).Current.Version;
        await cluster.SettleAsync(3, version);
        cluster.Asked.Clear();
        int[] saves = [.. Enumerable.Range(1, 3).Select(number => cluster.Store(number).Saves)];

        Assert.True((await client.TryWriteAsync(version, "second"u8.ToArray())).Written);
        await cluster.SettleAsync(3, version + 1);
        Assert.Equal(3, cluster.Asked.Count);
        Assert.All(cluster.Asked, static asked => Assert.Equal(SeedRequestKind.Accept, asked.Kind));
        Assert.Equal([.. saves.Select(static count => count + 1)], Enumerable.Range(1, 3).Select(number => cluster.Store(number).Saves));
    }

    [Fact]
    public async Task AChangeAfterAnothersTakesTwo()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        RegisterClient other = cluster.Client();
        await cluster.SettleAsync(3, (await client.ReadAsync()).Version);
        long version = (await other.ReadAsync()).Version;
        cluster.Asked.Clear();
        Assert.True((await other.TryWriteAsync(version, "theirs"u8.ToArray())).Written);
        await cluster.SettleAsync(3, version + 1);
        Assert.Equal(3, cluster.Asked.Count(static asked => asked.Kind == SeedRequestKind.Prepare));
        Assert.Equal(3, cluster.Asked.Count(static asked => asked.Kind == SeedRequestKind.Accept));
    }

    [Fact]
    public async Task AReadTakesOneRoundTripAndNoSave()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        WriteResult written = await client.TryWriteAsync((await client.ReadAsync()).Version, "table"u8.ToArray());
        await cluster.SettleAsync(3, written.Current.Version);
        cluster.Asked.Clear();
        int saves = cluster.Stores.Values.Sum(static store => store.Saves);

        Assert.Equal("table", Text(await client.ReadAsync()));
        Assert.InRange(cluster.Asked.Count, 2, 3);
        Assert.All(cluster.Asked, static asked => Assert.Equal(SeedRequestKind.Read, asked.Kind));
        Assert.Equal(saves, cluster.Stores.Values.Sum(static store => store.Saves));
    }

    [Fact]
    public async Task AnyMinorityMayBeGoneTheFounderIncluded()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        cluster.Down[SeedCluster.Address(1)] = "connection refused";
        RegisterSnapshot read = await client.ReadAsync();
        Assert.True((await client.TryWriteAsync(read.Version, "on"u8.ToArray())).Written);

        RegisterClient another = cluster.Client(null, null, 1, 3);
        Assert.Equal("on", Text(await another.ReadAsync()));
        cluster.Restart(1);
        cluster.Down[SeedCluster.Address(2)] = "";
        Assert.Equal("on", Text(await another.ReadAsync()));
    }

    [Fact]
    public async Task WithoutAMajorityTheMessageSaysForWhomItWaits()
    {
        (SeedCluster cluster, _) = await SeedCluster.StartAsync(3);
        RegisterClient client = cluster.Client(null, Hasty, 1, 2, 3);
        RegisterSnapshot read = await cluster.Client().ReadAsync();
        cluster.Down[SeedCluster.Address(2)] = "connection refused";
        cluster.Down[SeedCluster.Address(3)] = "";
        RegisterUnavailableException unread = await Assert.ThrowsAsync<RegisterUnavailableException>(() => client.ReadAsync().AsTask());
        Assert.Contains("seed2:11111: connection refused", unread.Message, StringComparison.Ordinal);
        Assert.Contains("seed3:11111: no answer", unread.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("seed1", unread.Message, StringComparison.Ordinal);
        Assert.False(unread.OutcomeUnknown);

        // Nothing had been prepared: the change cannot have been sent to anybody.
        RegisterUnavailableException unwritten =
            await Assert.ThrowsAsync<RegisterUnavailableException>(() => client.TryWriteAsync(read.Version, "x"u8.ToArray()).AsTask());
        Assert.False(unwritten.OutcomeUnknown);
    }

    [Fact]
    public async Task AChangeThatReachedOneSeedHasAnUnknownOutcome()
    {
        (SeedCluster cluster, _) = await SeedCluster.StartAsync(3);
        var options = new RegisterClientOptions { RoundTimeout = TimeSpan.FromSeconds(2), OperationTimeout = TimeSpan.FromSeconds(2) };
        RegisterClient client = cluster.Client(null, options, 1, 2, 3);
        WriteResult first = await client.TryWriteAsync((await client.ReadAsync()).Version, "1"u8.ToArray());
        await cluster.SettleAsync(3, first.Current.Version);
        cluster.Down[SeedCluster.Address(2)] = cluster.Down[SeedCluster.Address(3)] = "connection refused";
        RegisterUnavailableException unknown =
            await Assert.ThrowsAsync<RegisterUnavailableException>(() => client.TryWriteAsync(first.Current.Version, "2"u8.ToArray()).AsTask());
        Assert.True(unknown.OutcomeUnknown);

        // It stands in the first seed, so whoever comes when a majority is back finds and finishes it.
        cluster.Restart(2);
        Assert.Equal("2", Text(await cluster.Client().ReadAsync()));
    }

    [Fact]
    public async Task ASeedThatLostItsFileVotesOnceItHasBeenTakenIn()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        SeedId former = (await client.ReadAsync()).Seeds.Single(static seed => seed.Address == SeedCluster.Address(3));
        SeedId anew = cluster.Start(3);
        SeedStatus status = await client.AskWhoAsync(SeedCluster.Address(3));
        Assert.Equal((anew.Identity, "", -1, false), (status.Identity, status.ClusterId, status.Version, status.Votes));

        // With the second one away there is no majority: the new seed does not count.
        cluster.Down[SeedCluster.Address(2)] = "connection refused";
        RegisterUnavailableException alone =
            await Assert.ThrowsAsync<RegisterUnavailableException>(() => cluster.Client(null, Hasty, 1, 3).ReadAsync().AsTask());
        Assert.Contains("seed3:11111: is a new seed", alone.Message, StringComparison.Ordinal);

        cluster.Restart(2);
        WriteResult changed = await client.TryChangeSeedsAsync((await client.ReadAsync()).Version, SeedChange.Replacing(former.Identity, anew));
        Assert.True(changed.Written);
        Assert.Null(changed.Current.FormerSeeds);
        cluster.Down[SeedCluster.Address(2)] = "connection refused";
        Assert.True((await client.TryWriteAsync(changed.Current.Version, "three"u8.ToArray())).Written);
        Assert.True((await client.AskWhoAsync(SeedCluster.Address(3))).Votes);
    }

    [Fact]
    public async Task AnAbsentSeedIsNotTakenIn()
    {
        (SeedCluster cluster, _) = await SeedCluster.StartAsync(1);
        RegisterClient client = cluster.Client(null, Hasty);
        var nobody = new SeedId(SeedCluster.Address(9), Guid.NewGuid());
        RegisterUnavailableException absent =
            await Assert.ThrowsAsync<RegisterUnavailableException>(() => client.TryChangeSeedsAsync(0, SeedChange.Adding(nobody)).AsTask());
        Assert.Contains("seed9:11111: connection refused", absent.Message, StringComparison.Ordinal);
        Assert.False(absent.OutcomeUnknown);
        Assert.True((await cluster.Client().TryWriteAsync(0, "alone"u8.ToArray())).Written);
    }

    [Fact]
    public async Task SenselessChangesOfTheSeedsAreRefusedInWords()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(1);
        SeedId self = (await client.ReadAsync()).Seeds[0];
        (SeedChange Change, string Expected)[] cases =
        [
            (SeedChange.Adding(self), "is a seed already"),
            (SeedChange.Adding(new SeedId(self.Address, Guid.NewGuid())), "replace that one"),
            (SeedChange.Removing(Guid.NewGuid()), "is none of the seeds"),
            (SeedChange.Removing(self.Identity), "1 to 7 seeds"),
            (default, "adds a seed, removes one, or both"),
            (SeedChange.Adding(default), "no identity"),
            (SeedChange.Replacing(self.Identity, self), "the same already"),
        ];
        foreach ((SeedChange change, string expected) in cases)
        {
            ArgumentException refused = await Assert.ThrowsAsync<ArgumentException>(() => client.TryChangeSeedsAsync(0, change).AsTask());
            Assert.Contains(expected, refused.Message, StringComparison.Ordinal);
        }

        Assert.Equal(0, (await client.ReadAsync()).Version);
        cluster.Dispose();
    }

    [Fact]
    public async Task SeedsGrowToSevenAndShrinkToOneWhileAllIsKept()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(7);
        RegisterSnapshot now = await client.ReadAsync();
        now = (await client.TryWriteAsync(now.Version, "kept"u8.ToArray())).Current;
        SeedId eighth = cluster.Start(8);
        await Assert.ThrowsAsync<ArgumentException>(() => client.TryChangeSeedsAsync(now.Version, SeedChange.Adding(eighth)).AsTask());
        RegisterClient behind = cluster.Client(null, null, 1, 2, 3, 4, 5, 6, 7);
        await behind.ReadAsync();
        while (now.Seeds.Count > 1)
        {
            Guid leaving = now.Seeds.MinBy(static seed => seed.Address.ToString()).Identity;
            WriteResult changed = await client.TryChangeSeedsAsync(now.Version, SeedChange.Removing(leaving));
            Assert.True(changed.Written);
            now = changed.Current;
        }

        Assert.Equal(SeedCluster.Address(7), now.Seeds[0].Address);
        Assert.Equal("kept", Text(await client.ReadAsync()));

        // A client that is six changes behind finds its way as long as those that know it are there.
        Assert.Equal(now.Version, (await behind.ReadAsync()).Version);
        Assert.True((await behind.TryWriteAsync(now.Version, "on"u8.ToArray())).Written);
    }

    [Fact]
    public async Task ASeedOfAnotherClusterIsToldByName()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(1);
        SeedId other = cluster.Start(2);
        Assert.True(await cluster.Server(2).TryFoundAsync(other.Address, "elsewhere"));
        RegisterUnavailableException refused = await Assert.ThrowsAsync<RegisterUnavailableException>(
            () => cluster.Client(SeedCluster.ClusterId, Hasty, 2).ReadAsync().AsTask());
        Assert.Contains("belongs to cluster 'elsewhere', not to 'test'", refused.Message, StringComparison.Ordinal);

        RegisterClient hasty = cluster.Client(null, Hasty);
        refused = await Assert.ThrowsAsync<RegisterUnavailableException>(() => hasty.TryChangeSeedsAsync(0, SeedChange.Adding(other)).AsTask());
        Assert.Contains("belongs to cluster 'elsewhere'", refused.Message, StringComparison.Ordinal);
        Assert.Equal(0, (await client.ReadAsync()).Version);
    }

    [Fact]
    public async Task SeedsWithoutAClusterAreToldApartFromSeedsThatAreAway()
    {
        using var cluster = new SeedCluster();
        cluster.Start(1);
        RegisterUnavailableException none = await Assert.ThrowsAsync<RegisterUnavailableException>(() => cluster.Client(null, Hasty).ReadAsync().AsTask());
        Assert.True(none.NoCluster);
        cluster.Down[SeedCluster.Address(1)] = "connection refused";
        RegisterUnavailableException away = await Assert.ThrowsAsync<RegisterUnavailableException>(() => cluster.Client(null, Hasty).ReadAsync().AsTask());
        Assert.False(away.NoCluster);
    }

    [Fact]
    public async Task ASeedWhoseDiskIsFullSaysSoAndTheOthersGoOn()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        cluster.Store(2).Failure = "No space left on device";
        RegisterSnapshot now = await client.ReadAsync();
        now = (await client.TryWriteAsync(now.Version, "a"u8.ToArray())).Current;
        await Wait.UntilAsync(() => cluster.Log.Count == 1, "no line about the disk");
        Assert.Contains("cannot be written, so this seed does not vote: No space left", cluster.Log.Single(), StringComparison.Ordinal);

        cluster.Down[SeedCluster.Address(3)] = "connection refused";
        RegisterUnavailableException full =
            await Assert.ThrowsAsync<RegisterUnavailableException>(() => cluster.Client(null, Hasty).TryWriteAsync(now.Version, "b"u8.ToArray()).AsTask());
        Assert.Contains("seed2:11111: cannot write its file (No space left on device)", full.Message, StringComparison.Ordinal);

        cluster.Store(2).Failure = null;
        RegisterSnapshot read = await client.ReadAsync();
        Assert.True((await client.TryWriteAsync(read.Version, "c"u8.ToArray())).Written);
        await Wait.UntilAsync(() => cluster.Log.Count == 2, "no line that the disk works again");
    }

    [Fact]
    public async Task ManyWritersAtOnceLoseNothing()
    {
        (SeedCluster cluster, RegisterClient first) = await SeedCluster.StartAsync(3);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async writer =>
        {
            RegisterClient client = cluster.Client();
            for (int i = 0; i < 10; i++)
            {
                string line = $"{writer}.{i};";
                for (string text = ""; !text.Contains(line, StringComparison.Ordinal);)
                {
                    RegisterSnapshot read = await client.ReadAsync();
                    text = Text(read);
                    try
                    {
                        if (!text.Contains(line, StringComparison.Ordinal))
                            await client.TryWriteAsync(read.Version, System.Text.Encoding.UTF8.GetBytes(text + line));
                    }
                    catch (RegisterUnavailableException unknown) when (unknown.OutcomeUnknown)
                    {
                        // The next read shows whether it has taken effect.
                    }
                }
            }
        }));
        string[] lines = Text(await first.ReadAsync()).Split(';', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(80, lines.Length);
        Assert.Equal(80, lines.Distinct().Count());
    }

    [Fact]
    public async Task SignsOfLifeAreSeenByReadersAndWriteNothing()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        await client.ReadAsync();
        int saves = cluster.Stores.Values.Sum(static store => store.Saves);
        DateTimeOffset time = DateTimeOffset.UnixEpoch.AddDays(20_000);
        await client.ReportAliveAsync("silo-1", time);
        await client.ReportAliveAsync("silo-1", time.AddSeconds(-3));
        await client.ReportAliveAsync("silo-2", time.AddSeconds(3));
        RegisterSnapshot? read = null;
        await Wait.UntilAsync(
            () => Read().Alive is { Count: 2 } alive && alive["silo-1"] == time && alive["silo-2"] == time.AddSeconds(3), "the signs of life");
        Assert.Equal(saves, cluster.Stores.Values.Sum(static store => store.Saves));

        foreach (int number in new[] { 1, 2, 3 })
            cluster.Down[SeedCluster.Address(number)] = "connection refused";
        await Assert.ThrowsAsync<RegisterUnavailableException>(() => client.ReportAliveAsync("silo-1", time).AsTask());
        await Assert.ThrowsAsync<ArgumentException>(() => client.ReportAliveAsync(new string('x', 200), time).AsTask());

        RegisterSnapshot Read() => read = client.ReadAsync().AsTask().GetAwaiter().GetResult();
    }

    [Fact]
    public async Task AnOnlySeedMayMove()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(1);
        Assert.True((await client.TryWriteAsync(0, "kept"u8.ToArray())).Written);
        Assert.False(await cluster.Server(1).TryMoveAsync(SeedCluster.Address(1)));
        cluster.Move(1, 2);
        Assert.True(await cluster.Server(2).TryMoveAsync(SeedCluster.Address(2)));
        RegisterSnapshot read = await cluster.Client(SeedCluster.ClusterId, null, 2).ReadAsync();
        Assert.Equal(("kept", 2), (Text(read), read.Version));
        Assert.Equal(SeedCluster.Address(2), read.Seeds.Single().Address);
    }

    [Fact]
    public async Task AMovedSeedVotesOnceItsAddressHasBeenChanged()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        RegisterSnapshot now = await client.ReadAsync();
        cluster.Move(3, 4);
        Assert.False(await cluster.Server(4).TryMoveAsync(SeedCluster.Address(4)));
        cluster.Down[SeedCluster.Address(2)] = "connection refused";
        await Assert.ThrowsAsync<RegisterUnavailableException>(() => cluster.Client(null, Hasty, 1, 4).ReadAsync().AsTask());
        cluster.Restart(2);
        Guid identity = cluster.Store(4).Identity;
        WriteResult moved = await client.TryChangeSeedsAsync(now.Version, SeedChange.Replacing(identity, new SeedId(SeedCluster.Address(4), identity)));
        Assert.True(moved.Written);
        cluster.Down[SeedCluster.Address(2)] = "connection refused";
        Assert.Equal(moved.Current.Version, (await cluster.Client(null, null, 1, 4).ReadAsync()).Version);
    }

    [Fact]
    public async Task ASurvivorCanBeMadeTheOnlySeed()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        WriteResult written = await client.TryWriteAsync((await client.ReadAsync()).Version, "kept"u8.ToArray());
        await cluster.SettleAsync(3, written.Current.Version);
        cluster.Start(1);
        cluster.Start(2);
        Assert.False(await cluster.Server(1).ForceAloneAsync(SeedCluster.Address(1)));
        Assert.True(await cluster.Server(3).ForceAloneAsync(SeedCluster.Address(3)));
        RegisterClient survivor = cluster.Client(SeedCluster.ClusterId, null, 1, 2, 3);
        RegisterSnapshot read = await survivor.ReadAsync();
        Assert.Equal(("kept", 1), (Text(read), read.Seeds.Count));
        Assert.True((await survivor.TryWriteAsync(read.Version, "on"u8.ToArray())).Written);
    }

    [Fact]
    public async Task ACopyOfASeedsFileDoesNotVote()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(3);
        await cluster.SettleAsync(3, (await client.ReadAsync()).Version);
        cluster.Copy(2, 5);
        cluster.Down[SeedCluster.Address(2)] = cluster.Down[SeedCluster.Address(3)] = "connection refused";
        await Assert.ThrowsAsync<RegisterUnavailableException>(() => cluster.Client(null, Hasty, 1, 5).ReadAsync().AsTask());
    }

    [Fact]
    public async Task ACancelledCallEndsAtOnce()
    {
        (SeedCluster cluster, RegisterClient client) = await SeedCluster.StartAsync(1);
        cluster.Down[SeedCluster.Address(1)] = "";
        using var source = new CancellationTokenSource();
        Task<RegisterSnapshot> read = client.ReadAsync(source.Token).AsTask();
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
    }

    [Fact]
    public async Task ContentHasABound()
    {
        (_, RegisterClient client) = await SeedCluster.StartAsync(1);
        Assert.True((await client.TryWriteAsync(0, new byte[Limits.RegisterContentBytesMax])).Written);
        await Assert.ThrowsAsync<ArgumentException>(() => client.TryWriteAsync(1, new byte[Limits.RegisterContentBytesMax + 1]).AsTask());
        Assert.Equal(Limits.RegisterContentBytesMax, (await client.ReadAsync()).Content.Length);
    }

    [Fact]
    public async Task ASeedAnswersGarbageInWords()
    {
        (SeedCluster cluster, _) = await SeedCluster.StartAsync(1);
        SeedReply empty = SeedCodec.ReadReply((await cluster.Server(1).AnswerAsync(default)).Span)!;
        Assert.Equal(SeedReplyKind.Unreadable, empty.Kind);
        SeedReply newer = SeedCodec.ReadReply((await cluster.Server(1).AnswerAsync(new byte[] { 9, 1, 2 })).Span)!;
        Assert.Contains("format 1 of the seeds' messages, not 9", newer.Reason, StringComparison.Ordinal);
    }

    private static string Text(RegisterSnapshot snapshot) => System.Text.Encoding.UTF8.GetString(snapshot.Content.Span);
}
