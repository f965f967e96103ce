using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Orleans.GrainDirectory;
using Orleans.Placement;
using Orleans.Runtime.GrainDirectory;
using Orleans.Runtime.Placement;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

/// <summary>Where a grain of ours is: read from its key, or from the partition table. Never asks anybody, so it never waits and never fails over.</summary>
internal sealed class OwnershipLocator(ILocalSiloDetails localSilo, IServiceProvider services)
{
    private const int KeysRememberedMax = 16 * 1024;
    private static readonly GrainType ControlType = GrainType.Create("oc.control");
    private static readonly GrainType BatchType = GrainType.Create("oc.batch");
    internal static readonly GrainType PartitionType = GrainType.Create("oc.partition");
    private readonly ConcurrentDictionary<GrainId, GrainAddress> _bySiloKey = [];
    private readonly ConcurrentDictionary<SiloId, SiloAddress> _silos = [];
    private OwnershipRuntime? _runtime;

    /// <summary>Where the coordinator was last; null if that is this silo, or nobody knows.</summary>
    public SiloAddress? Coordinator => Runtime.Coordinator is { IsNone: false } silo && silo != Runtime.LocalSilo ? AddressOf(silo) : null;

    private OwnershipRuntime Runtime => _runtime ??= (OwnershipRuntime)services.GetService(typeof(OwnershipRuntime))!;

    /// <summary>The grain's place, or null where there is none: no grain of ours, no silo of that name, no owner.</summary>
    public GrainAddress? Find(GrainId grain)
    {
        if (grain.Type == PartitionType)
        {
            return grain.TryGetIntegerKey(out long partition, out _) && FindPartition(partition) is { } silo
                ? new GrainAddress { GrainId = grain, SiloAddress = silo, MembershipVersion = MembershipVersion.MinValue }
                : null;
        }

        if (grain.Type != ControlType && grain.Type != BatchType)
            return null;
        if (_bySiloKey.TryGetValue(grain, out GrainAddress? known))
            return known;
        string key = grain.Key.ToString()!;
        int slash = key.LastIndexOf('/');
        if (!SiloAddress.TryParse(slash < 0 ? key : key[..slash], null, out SiloAddress? address))
            return null;
        if (_bySiloKey.Count >= KeysRememberedMax)
            _bySiloKey.Clear();
        return _bySiloKey[grain] = new GrainAddress { GrainId = grain, SiloAddress = address, MembershipVersion = MembershipVersion.MinValue };
    }

    /// <summary>
    /// Where the partition may be activated. On a silo that has been told to serve it that is this silo, although the table, which is published afterwards,
    /// does not say so yet; on all others it is the table's owner.
    /// </summary>
    private SiloAddress? FindPartition(long partition)
    {
        PartitionTable table = Runtime.Current;
        if ((ulong)partition >= (uint)table.PartitionCount)
            return null;
        if (Runtime.IsGranted((int)partition))
            return localSilo.SiloAddress;
        SiloId owner = table.OwnerOf(new PartitionId((int)partition));
        if (owner.IsNone || owner == Runtime.LocalSilo)
            return null;
        return AddressOf(owner);
    }

    private SiloAddress AddressOf(SiloId silo)
    {
        if (!_silos.TryGetValue(silo, out SiloAddress? address))
            address = _silos[silo] = SiloAddress.FromParsableString(silo.Text);
        return address;
    }
}

/// <summary>
/// The grain directory of our grains: it holds nothing, because their places follow from keys and the table (docs/decisions/0006-grain-directory.md). An
/// activation registers on the silo where it came to be: there it is confirmed if this is its place, sent on (Orleans then forwards its messages) if another
/// silo is, and refused if there is none.
/// </summary>
internal sealed class OwnershipDirectory(OwnershipLocator locator, ILocalSiloDetails localSilo) : IGrainDirectory
{
    public const string Name = "orleanscache";

    public Task<GrainAddress?> Lookup(GrainId grainId) => Task.FromResult(locator.Find(grainId));

    public Task<GrainAddress?> Register(GrainAddress address)
    {
        GrainAddress? place = locator.Find(address.GrainId);
        if (place is null)
            throw new SiloUnknownException($"No silo serves {address.GrainId} at this moment.");
        return Task.FromResult<GrainAddress?>(localSilo.SiloAddress.Equals(place.SiloAddress) ? address : place);
    }

    public Task Unregister(GrainAddress address) => Task.CompletedTask;

    public Task UnregisterSilos(List<SiloAddress> siloAddresses) => Task.CompletedTask;
}

/// <summary>
/// What Orleans takes for a cache in front of <see cref="OwnershipDirectory"/>: always right, because it computes. It also keeps addressing synchronous, so
/// that messages leave in the order of the calls.
/// </summary>
internal sealed class OwnershipDirectoryCache(OwnershipLocator locator) : IGrainDirectoryCache
{
    public IEnumerable<(GrainAddress ActivationAddress, int Version)> KeyValues => [];

    public bool LookUp(GrainId key, [NotNullWhen(true)] out GrainAddress? result, out int version)
    {
        version = 0;
        result = locator.Find(key);
        return result is not null;
    }

    public void AddOrUpdate(GrainAddress value, int version)
    {
    }

    public bool Remove(GrainId key) => false;

    public bool Remove(GrainAddress key) => false;

    public void Clear()
    {
    }
}

/// <summary>Placement of grains whose key names their silo. Nothing is registered: the key says it all.</summary>
[Serializable]
internal sealed class SiloKeyPlacement : PlacementStrategy
{
    public static readonly SiloKeyPlacement Instance = new();

    public override bool IsUsingGrainDirectory => false;
}

[AttributeUsage(AttributeTargets.Class)]
internal sealed class SiloKeyPlacementAttribute() : PlacementAttribute(SiloKeyPlacement.Instance);

/// <summary>Placement of partitions: by the table.</summary>
[Serializable]
internal sealed class PartitionPlacement : PlacementStrategy
{
    public static readonly PartitionPlacement Instance = new();
}

[AttributeUsage(AttributeTargets.Class)]
internal sealed class PartitionPlacementAttribute() : PlacementAttribute(PartitionPlacement.Instance);

/// <summary>
/// Places both kinds where <see cref="OwnershipLocator"/> says. Asked only when the cache above gave no usable answer, that is when there is no place or the
/// silo is dead. A partition is asked for at the coordinator's silo then, whose table is the newest, and which sends on what is for others. Everything else
/// fails at once, in a way that tells the router that nothing was executed, instead of landing anywhere else.
/// </summary>
internal sealed class OwnershipPlacementDirector(OwnershipLocator locator) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] silos = context.GetCompatibleSilos(target);
        SiloAddress? silo = locator.Find(target.GrainIdentity)?.SiloAddress;
        if ((silo is null || !silos.Contains(silo)) && target.GrainIdentity.Type == OwnershipLocator.PartitionType)
            silo = locator.Coordinator;
        return silo is not null && silos.Contains(silo)
            ? Task.FromResult(silo)
            : throw new SiloUnknownException($"No silo serves {target.GrainIdentity} at this moment.");
    }
}
