using System.Globalization;
using OrleansCache.Grains.Hosting.Seeds;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

/// <summary>One silo's numbers on their way between silos.</summary>
[GenerateSerializer, Immutable, Alias("oc.SiloReport")]
public sealed class SiloReport
{
    public SiloReport(int partitions, IReadOnlyList<StatisticValue> values, int[] sending, int[] receiving)
    {
        ArgumentNullException.ThrowIfNull(values);
        Partitions = partitions;
        Names = [.. values.Select(value => value.Name)];
        Values = [.. values.Select(value => value.Value)];
        Sending = sending;
        Receiving = receiving;
    }

    [Id(0)]
    public int Partitions { get; private set; }

    [Id(1)]
    private string[] Names { get; set; }

    [Id(2)]
    private long[] Values { get; set; }

    /// <summary>Partitions that the silo is handing over; null from a silo of an older version, as is <see cref="Receiving"/>.</summary>
    [Id(3)]
    public int[]? Sending { get; private set; }

    [Id(4)]
    public int[]? Receiving { get; private set; }

    public StatisticValue[] ToValues() => [.. Names.Zip(Values, (name, value) => new StatisticValue(name, value))];
}

/// <summary>
/// The cluster as this process sees it: a silo knows the list of silos, a gateway alone asks any silo for it; numbers are asked of every silo, all at once, and
/// a silo that does not answer in time is shown without.
/// </summary>
internal sealed class ClusterView(IGrainFactory grains, ITableCache table, OwnershipRuntime? here = null, SeedNode? seeds = null) : IClusterView
{
    public const string NoSeeds = "the membership of this cluster lives in a store (--clustering)";

    /// <summary>Two changes of the register, each with its time-out.</summary>
    private static readonly TimeSpan SeedsTimeout = TimeSpan.FromSeconds(12);

    /// <summary>An order waits for all silos to hear of it.</summary>
    private static readonly TimeSpan OrderTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromMilliseconds(Limits.ClusterAnswerMilliseconds);

    public async ValueTask<GatewayList> ReadGatewaysAsync(CancellationToken cancellationToken) => (await ReadSilosAsync(cancellationToken)).ToGateways();

    public async ValueTask<ClusterStatistics> ReadStatisticsAsync(CancellationToken cancellationToken)
    {
        SiloList list = await ReadSilosAsync(cancellationToken);
        SiloStatistics[] silos = await Task.WhenAll(list.Silos.Select(entry => ReadStatisticsAsync(entry, cancellationToken)));
        return new ClusterStatistics(list.Version, table.Current.PartitionCount, silos) { WireVersion = table.Current.WireVersion };
    }

    public PartitionOwners ReadOwners()
    {
        PartitionTable current = table.Current;
        int[] owners = new int[current.PartitionCount];
        for (int partition = 0; partition < owners.Length; partition++)
            owners[partition] = current.OwnerIndexOf(new PartitionId(partition));
        string[] silos = [.. current.Silos.ToArray().Select(static silo => silo.Address)];
        return new PartitionOwners(current.Version.ToString(), here is null ? null : here.LocalSilo.Address, silos, owners);
    }

    public async ValueTask<SiloList> ReadSilosAsync(CancellationToken cancellationToken)
    {
        if (here is not null)
            return here.ReadSilos();
        try
        {
            ControlMessage answer = await grains.GetGrain<IClusterGrain>(0).ReadSilosAsync().AsTask().WaitAsync(AnswerTimeout, cancellationToken);
            if (SiloList.TryDecode(answer.Payload.Span, out SiloList? list))
                return list;
        }
        catch (Exception exception) when (exception is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            throw new RouterException("no silo answers", exception);
        }

        throw new RouterException("a silo of another version answers");
    }

    public async ValueTask<SeedOverview?> ReadSeedsAsync(CancellationToken cancellationToken)
    {
        if (here is not null)
            return seeds is null ? null : await seeds.ReadOverviewAsync(cancellationToken);
        return await AskAsync(cluster => cluster.ReadSeedsAsync(), SeedsTimeout, cancellationToken) is { } words ? FromWords(words) : null;
    }

    public async ValueTask<string?> ChangeSeedsAsync(string silo, bool add, CancellationToken cancellationToken) =>
        here is not null ? seeds is null ? NoSeeds : await seeds.ChangeVoteAsync(silo, add, cancellationToken)
        : await AskAsync(cluster => cluster.ChangeSeedsAsync(silo, add), SeedsTimeout, cancellationToken);

    public async ValueTask<MovesOverview> ReadMovesAsync(CancellationToken cancellationToken)
    {
        if (here is not null)
            return await WaitAsync(here.ReadMovesAsync(passOn: true), AnswerTimeout, cancellationToken)
                ?? throw new RouterException(OwnershipRuntime.NoCoordinator);
        ControlMessage answer = await AskAsync(static cluster => cluster.ReadMovesAsync(), AnswerTimeout, cancellationToken)
            ?? throw new RouterException(OwnershipRuntime.NoCoordinator);
        return MovesFormat.TryDecode(answer.Payload.Span, out MovesOverview? overview) ? overview
            : throw new RouterException("a silo of another version answers");
    }

    public async ValueTask<string?> OrderMovesAsync(MoveOrder order, CancellationToken cancellationToken) =>
        here is not null ? await WaitAsync(here.OrderMovesAsync(order, passOn: true), OrderTimeout, cancellationToken)
        : await AskAsync(cluster => cluster.OrderMovesAsync((byte)order.Kind, order.Value), OrderTimeout, cancellationToken);

    /// <summary>For the way between silos: the wanted number, whether the membership can be read, and four words for each seed.</summary>
    public static string[] ToWords(SeedOverview overview) =>
    [
        overview.Target.ToString(CultureInfo.InvariantCulture), overview.IsReadable.ToString(),
        .. overview.Seeds.SelectMany(seed => (string[])[seed.Silo, seed.Votes.ToString(), seed.IsUp.ToString(), seed.IsBarred.ToString()]),
    ];

    /// <summary>Null if it is none.</summary>
    public static SeedOverview? FromWords(string[] words)
    {
        if (words.Length < 2 || words.Length % 4 != 2 || !int.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out int target))
            return null;
        return new SeedOverview(target, words[1] == bool.TrueString,
            [.. words.Skip(2).Chunk(4).Select(seed => new SeedState(seed[0], Is(seed[1]), Is(seed[2]), Is(seed[3])))]);

        static bool Is(string word) => word == bool.TrueString;
    }

    private Task<T> AskAsync<T>(Func<IClusterGrain, ValueTask<T>> question, TimeSpan timeout, CancellationToken cancellationToken) =>
        WaitAsync(question(grains.GetGrain<IClusterGrain>(0)), timeout, cancellationToken);

    private static async Task<T> WaitAsync<T>(ValueTask<T> answer, TimeSpan timeout, CancellationToken cancellationToken)
    {
        try
        {
            return await answer.AsTask().WaitAsync(timeout, cancellationToken);
        }
        catch (Exception exception) when (exception is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            throw new RouterException("no silo answers", exception);
        }
    }

    private async Task<SiloStatistics> ReadStatisticsAsync(SiloEntry entry, CancellationToken cancellationToken)
    {
        string name = entry.Silo.Address;
        try
        {
            SiloReport report = here?.LocalSilo == entry.Silo
                ? here.ReadStatistics()
                : await grains.GetGrain<ISiloControlGrain>(entry.Silo.Text).ReadStatisticsAsync().AsTask().WaitAsync(AnswerTimeout, cancellationToken);
            return new SiloStatistics(name, entry.ReadGateway(), report.Partitions, report.ToValues())
            {
                Sending = report.Sending ?? [],
                Receiving = report.Receiving ?? [],
            };
        }
        catch (Exception exception) when (exception is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            return new SiloStatistics(name, entry.ReadGateway(), table.Current.CountOf(entry.Silo), null);
        }
    }
}
