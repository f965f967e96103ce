using System.Net;
using Orleans.Messaging;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// The silos that a gateway alone may connect to: at first those of --join that have answered, later those that the cluster names as well, so that it goes
/// on whichever of them goes. The given ones stay for good: if all others are gone, they are where the cluster may come back.
/// </summary>
internal sealed class GatewayDirectory : IGatewayListProvider
{
    private readonly IPEndPoint[] _given;
    private volatile IList<Uri> _gateways;

    public GatewayDirectory(IReadOnlyList<IPEndPoint> given, IReadOnlyList<IPEndPoint> answering)
    {
        _given = [.. given];
        _gateways = ToUris(answering.Count > 0 ? answering : given);
    }

    public static TimeSpan RefreshInterval { get; } = TimeSpan.FromSeconds(2);

    public TimeSpan MaxStaleness => RefreshInterval;

    public bool IsUpdatable => true;

    /// <summary>The newest list.</summary>
    public IReadOnlyList<Uri> Known => [.. _gateways];

    public Task InitializeGatewayListProvider() => Task.CompletedTask;

    public Task<IList<Uri>> GetGateways() => Task.FromResult(_gateways);

    /// <summary>The cluster has these, as far as it says.</summary>
    public void Learn(IEnumerable<IPEndPoint> gateways) => _gateways = ToUris(gateways.Concat(_given).Distinct());

    private static IList<Uri> ToUris(IEnumerable<IPEndPoint> gateways) => [.. gateways.Select(gateway => SiloAddress.New(gateway, 0).ToGatewayUri())];
}
