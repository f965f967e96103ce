using System.Net;
using OrleansCache.Grains.Hosting.Seeds;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Tests.Hosting.Seeds;

/// <summary>The contract that Orleans expects of a membership table, as its own tests have it.</summary>
public sealed class SeedMembershipTableTests
{
    private static int s_generation;
    private readonly MemoryRegister _register = new();
    private readonly SeedMembershipTable _table;

    public SeedMembershipTableTests() => _table = new SeedMembershipTable(_register);

    [Fact]
    public async Task ATableBeginsEmptyWithVersionZero()
    {
        await _table.InitializeMembershipTable(true);
        MembershipTableData data = await _table.ReadAll();
        Assert.Empty(data.Members);
        Assert.Equal(0, data.Version.Version);
        Assert.NotNull(data.Version.VersionEtag);
    }

    [Fact]
    public async Task ARowIsInsertedOnceAndWithTheNewestVersionOnly()
    {
        MembershipEntry entry = Entry();
        TableVersion next = (await _table.ReadAll()).Version.Next();
        Assert.True(await _table.InsertRow(entry, next));
        Assert.False(await _table.InsertRow(entry, next));
        Assert.False(await _table.InsertRow(Entry(), next));
        MembershipTableData data = await _table.ReadAll();
        Assert.Equal(1, data.Version.Version);
        Assert.False(await _table.InsertRow(entry, data.Version.Next()));
        data = await _table.ReadRow(entry.SiloAddress);
        Assert.Single(data.Members);
        Assert.Equal(1, data.Version.Version);
        Assert.NotEqual(next.VersionEtag, data.Version.VersionEtag);
        Assert.Equal(entry.ToFullString(), data.Members[0].Item1.ToFullString());
        Assert.Empty((await _table.ReadRow(Entry().SiloAddress)).Members);
    }

    [Fact]
    public async Task ARowIsUpdatedWithItsEtagAndTheNewestVersionOnly()
    {
        MembershipTableData data = await _table.ReadAll();
        for (int i = 1; i < 10; i++)
        {
            MembershipEntry entry = Entry();
            entry.SuspectTimes = [Tuple.Create(Silo(), Now().AddSeconds(1)), Tuple.Create(Silo(), Now().AddSeconds(2))];
            TableVersion old = data.Version.Next();
            Assert.True(await _table.InsertRow(entry, old));
            data = await _table.ReadAll();
            string before = data.TryGet(entry.SiloAddress)!.Item2;
            Assert.False(await _table.UpdateRow(entry, before, old));
            TableVersion next = data.Version.Next();
            Assert.True(await _table.UpdateRow(entry, before, next));
            Assert.False(await _table.UpdateRow(entry, before, next));
            data = await _table.ReadAll();
            (MembershipEntry read, string after) = data.TryGet(entry.SiloAddress)!;
            Assert.Equal(entry.ToFullString(), read.ToFullString());
            Assert.NotEqual(before, after);
            Assert.False(await _table.UpdateRow(entry, after, next));
            Assert.False(await _table.UpdateRow(entry, before, data.Version.Next()));
            Assert.Equal(next.Version, data.Version.Version);
            Assert.Equal(i, data.Members.Count);
        }

        Assert.False(await _table.UpdateRow(Entry(), "1", data.Version.Next()));
    }

    /// <summary>
    /// Of three silos one leaves and has handed its vote over. It is active until Orleans has it leave; whoever looks after the seeds must not give it back.
    /// </summary>
    [Fact]
    public async Task TheSeedOfASiloThatLeavesIsNoCandidateAnyMoreAndOrleansSeesNothingOfIt()
    {
        SeedId[] seeds = [.. Enumerable.Range(1, 3).Select(port => new SeedId(new SeedAddress("127.0.0.1", port), Guid.NewGuid()))];
        MembershipEntry[] entries = [Entry(), Entry(), Entry()];
        foreach ((SeedId seed, MembershipEntry entry) in seeds.Zip(entries))
        {
            entry.Status = SiloStatus.Active;
            Assert.True(await new SeedMembershipTable(_register, seed).InsertRow(entry, (await _table.ReadAll()).Version.Next()));
        }

        MembershipTableData before = await _table.ReadAll();
        Assert.Equal(SeedChange.Adding(seeds[0]), Next());

        Assert.True(await _table.ChangeAsync(content => content.WithdrawSeed(entries[0].SiloAddress)));
        Assert.False(await _table.ChangeAsync(content => content.WithdrawSeed(entries[0].SiloAddress)));
        Assert.Equal(SeedChange.Removing(seeds[2].Identity), Next());

        MembershipTableData after = await _table.ReadAll();
        string etag = before.TryGet(entries[0].SiloAddress)!.Item2;
        Assert.Equal((before.Version.VersionEtag, etag), (after.Version.VersionEtag, after.TryGet(entries[0].SiloAddress)!.Item2));
        Assert.True(await _table.UpdateRow(entries[0], etag, before.Version.Next()));
        Assert.Equal(SeedChange.Removing(seeds[2].Identity), Next());

        SeedChange? Next() => new SeedPolicy(target: 3).Next(new SeedSet(seeds[1..]), SeedNode.Active(_table.NewestContent!), [], TimeSpan.Zero);
    }

    [Fact]
    public async Task OfManyWritersAtOnceOneSucceeds()
    {
        MembershipEntry entry = Entry();
        TableVersion version = (await _table.ReadAll()).Version.Next();
        bool[] inserted = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => _table.InsertRow(entry, version)));
        Assert.Single(inserted, won => won);
        await Task.WhenAll(Enumerable.Range(1, 19).Select(async _ =>
        {
            while (true)
            {
                MembershipTableData data = await _table.ReadAll();
                (MembershipEntry row, string etag) = data.TryGet(entry.SiloAddress)!;
                if (await _table.UpdateRow(row, etag, data.Version.Next()))
                    return;
            }
        }));
        MembershipTableData end = await _table.ReadAll();
        Assert.Equal(20, end.Version.Version);
        Assert.Single(end.Members);
    }

    [Fact]
    public async Task TheTimeOfLifeIsNoChange()
    {
        MembershipEntry entry = Entry();
        Assert.True(await _table.InsertRow(entry, (await _table.ReadAll()).Version.Next()));
        MembershipTableData before = await _table.ReadAll();
        long version = _register.Value.Version;
        DateTime alive = DateTime.UtcNow.AddSeconds(5);
        await _table.UpdateIAmAlive(new MembershipEntry { SiloAddress = entry.SiloAddress, IAmAliveTime = alive });
        MembershipTableData after = await _table.ReadAll();
        Assert.Equal(alive, after.Members[0].Item1.IAmAliveTime);
        Assert.Equal(before.Version, after.Version);
        Assert.Equal(before.Members[0].Item2, after.Members[0].Item2);
        Assert.Equal(version, _register.Value.Version);
    }

    [Fact]
    public async Task OldRowsOfWhatIsNotActiveAreCleaned()
    {
        foreach (SiloStatus status in Enum.GetValues<SiloStatus>())
        {
            MembershipEntry old = Entry();
            (old.IAmAliveTime, old.StartTime, old.Status) = (Now().AddDays(-10), Now().AddDays(-10), status);
            Assert.True(await _table.InsertRow(old, (await _table.ReadAll()).Version.Next()));
        }

        Assert.True(await _table.InsertRow(Entry(), (await _table.ReadAll()).Version.Next()));
        await _table.CleanupDefunctSiloEntries(Now().AddDays(-7));
        Assert.Equal(2, (await _table.ReadAll()).Members.Count);
        long version = _register.Value.Version;
        await _table.CleanupDefunctSiloEntries(Now().AddDays(-7));
        Assert.Equal(version, _register.Value.Version);
        await _table.DeleteMembershipTableEntries("test");
        Assert.Empty((await _table.ReadAll()).Members);
    }

    [Fact]
    public async Task AChangeOfTheSeedsDisturbsNobody()
    {
        MembershipEntry entry = Entry();
        TableVersion version = (await _table.ReadAll()).Version.Next();
        SeedId seed = new(new SeedAddress("127.0.0.1", 2), Guid.NewGuid());
        _register.BeforeNextWrite = () => _register.TryChangeSeedsAsync(0, SeedChange.Adding(seed)).AsTask().Wait();
        Assert.True(await _table.InsertRow(entry, version));
        Assert.Equal(2, _register.Value.Seeds.Count);
        Assert.Single((await _table.ReadAll()).Members);
    }

    [Fact]
    public async Task AnUnknownOutcomeIsAnExceptionAndTheNextTryFindsIt()
    {
        MembershipEntry entry = Entry();
        TableVersion version = (await _table.ReadAll()).Version.Next();
        _register.NextWriteFails = new RegisterUnavailableException("nobody answers", [], outcomeUnknown: true);
        await Assert.ThrowsAsync<RegisterUnavailableException>(() => _table.InsertRow(entry, version));
        Assert.False(await _table.InsertRow(entry, version));
        Assert.Single((await _table.ReadAll()).Members);
    }

    [Fact]
    public async Task ARowKeepsTheSeedOfTheSiloThatInsertedIt()
    {
        SeedId seed = new(new SeedAddress("host", 13111), Guid.NewGuid());
        MembershipEntry entry = Entry();
        Assert.True(await new SeedMembershipTable(_register, seed).InsertRow(entry, (await _table.ReadAll()).Version.Next()));
        MembershipTableData data = await _table.ReadAll();
        Assert.True(await _table.UpdateRow(entry, data.Members[0].Item2, data.Version.Next()));
        Assert.Equal(seed, SeedText.Parse(_table.NewestContent!.Find(entry.SiloAddress)!.Seed));
    }

    [Fact]
    public void DeadRowsAreBounded()
    {
        MembershipContent content = new();
        for (int i = 0; i < 200; i++)
        {
            MembershipEntry entry = Entry();
            (entry.Status, entry.StartTime, entry.IAmAliveTime) = (SiloStatus.Dead, Now().AddSeconds(i), Now().AddSeconds(i));
            content.Put(entry, "", i);
        }

        Assert.Equal(64, content.Rows.Count);
        Assert.Equal(199, content.TableVersion);
    }

    [Fact]
    public void WhatIsNoContentIsRefused()
    {
        MembershipContent content = new();
        content.Put(Entry(), "127.0.0.1:2/00000000000000000000000000000001", 1);
        content.NoteFormerSeed("127.0.0.1:3");
        content.Bar(Guid.NewGuid(), true);
        byte[] wire = content.Encode();
        Assert.Equal(wire, MembershipContent.Decode(wire)!.Encode());
        for (int length = 1; length < wire.Length; length++)
            Assert.Null(MembershipContent.Decode(wire.AsSpan(0, length)));
        Assert.Null(MembershipContent.Decode([.. wire, 0]));
        Random random = new(TestSeed.Next());
        for (int i = 0; i < 20_000; i++)
        {
            byte[] damaged = (byte[])wire.Clone();
            for (int j = random.Next(1, 5); j > 0; j--)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            _ = MembershipContent.Decode(damaged);
        }
    }

    private static DateTime Now()
    {
        DateTime now = DateTime.UtcNow;
        return now.AddTicks(-(now.Ticks % TimeSpan.TicksPerSecond));
    }

    private static SiloAddress Silo() => SiloAddress.New(new IPEndPoint(IPAddress.Loopback, 12345), Interlocked.Increment(ref s_generation));

    private static MembershipEntry Entry()
    {
        SiloAddress silo = Silo();
        return new MembershipEntry
        {
            SiloAddress = silo, HostName = "host", SiloName = "silo", RoleName = "role", Status = SiloStatus.Joining, ProxyPort = silo.Endpoint.Port,
            StartTime = Now(), IAmAliveTime = Now(), UpdateZone = 1, FaultZone = 2, SuspectTimes = [],
        };
    }
}
