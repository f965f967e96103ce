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
internal sealed class ClusterView(IGrainFactory grains, ITableCache table, OwnershipRuntime? here = null) : IClusterView
{
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromMilliseconds(Limits.ClusterAnswerMilliseconds);

    public async ValueTask<GatewayList> ReadGatewaysAsync(CancellationToken cancellationToken) => (await ReadSilosAsync(cancellationToken)).ToGateways();

    public async ValueTask<ClusterStatistics> ReadStatisticsAsync(CancellationToken cancellationToken)
    {
        SiloList list = await ReadSilosAsync(cancellationToken);
        SiloStatistics[] silos = await Task.WhenAll(list.Silos.Select(entry => ReadStatisticsAsync(entry, cancellationToken)));
        return new ClusterStatistics(list.Version, table.Current.PartitionCount, silos);
    }

    public PartitionOwners ReadOwners()
    {
        PartitionTable current = table.Current;
        int[] owners = new int[current.PartitionCount];
        for (int partition = 0; partition < owners.Length; partition++)
            owners[partition] = current.OwnerIndexOf(new PartitionId(partition));
        string[] silos = [.. current.Silos.ToArray().Select(NameOf)];
        return new PartitionOwners(current.Version.ToString(), here is null ? null : NameOf(here.LocalSilo), silos, owners);
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

    /// <summary>Without the generation, which says nothing to people.</summary>
    private static string NameOf(SiloId silo) => silo.Text[..silo.Text.LastIndexOf('@')];

    private async Task<SiloStatistics> ReadStatisticsAsync(SiloEntry entry, CancellationToken cancellationToken)
    {
        string name = NameOf(entry.Silo);
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
