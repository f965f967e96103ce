using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>
/// A silo's part in keeping the membership, beside Orleans: its seed (which has a vote or waits for one), the port where others ask it, the way to theirs,
/// and <see cref="Table"/> for Orleans. It starts before Orleans does and ends after it, because a cluster that starts as a whole needs its seeds first.
/// <para>
/// <see cref="StartAsync"/> decides whether there is a cluster to join, one to go on with, or one to found (SeedNode.Start.cs). <see cref="BeginKeeping"/>
/// keeps the set of seeds as it should be, and knocks where seeds are missing (SeedNode.Keep.cs). docs/decisions/0022-embedded-membership.md has the rules.
/// </para>
/// </summary>
internal sealed partial class SeedNode : IAsyncDisposable
{
    private static readonly TimeSpan GreetTimeout = TimeSpan.FromSeconds(1);
    private readonly SeedNodeOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SeedConnections _connections;
    private readonly ClusterProbe _probe;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly SeedDirectory _directory;
    private SeedServer _server;
    private SeedListener? _listener;
    private RegisterClient? _register;
    private SeedGreeting _greeting;
    private Task _loops = Task.CompletedTask;
    private bool _hasLeft;
    private bool _disposed;

    /// <exception cref="SeedFileException">The data directory cannot be used.</exception>
    public SeedNode(SeedNodeOptions options, ClusterProbe probe, TimeProvider time, ILogger logger)
    {
        _options = options;
        _probe = probe;
        _time = time;
        _logger = logger;
        _connections = new SeedConnections(probe, time, Greeting, OnGreeted);
        _directory = new SeedDirectory(options.DataDirectory);
        try
        {
            _server = new SeedServer(_directory.Store, time, TellDisk);
        }
        catch
        {
            _directory.Dispose();
            throw;
        }

        _greeting = new SeedGreeting { Own = SeedText.Format(Self) };
    }

    /// <summary>How often an address is tried where a seed should be and is not.</summary>
    public static TimeSpan KnockInterval { get; } = TimeSpan.FromMilliseconds(200);

    /// <summary>How often it is looked whether one is missing.</summary>
    private static readonly TimeSpan KnockIntervalWhenWhole = TimeSpan.FromSeconds(1);

    /// <summary>This silo's seed.</summary>
    public SeedId Self => new(_options.Address, _directory.Store.Identity);

    /// <summary>For Orleans; there after the start.</summary>
    public SeedMembershipTable Table { get; private set; } = null!;

    /// <summary>The register; there after the start.</summary>
    public IClusterRegister Register => _register ?? throw new InvalidOperationException("The seed has not been started.");

    /// <summary>It has founded the cluster, or goes on as one of its seeds: nobody has to take it in.</summary>
    public bool DependsOnNobody { get; private set; }

    /// <summary>Called once if this process has founded a cluster beside one that lives: with a sentence for the operator.</summary>
    public Action<string>? OtherClusterFound { get; set; }

    /// <summary>The silo that runs on it, once Orleans has chosen its name.</summary>
    public void RunsSilo(SiloAddress silo)
    {
        lock (_lock)
        {
            _greeting = _greeting with { Silo = silo.ToParsableString() };
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await _stop.CancelAsync();
        await _loops;
        if (_listener is not null)
            await _listener.DisposeAsync();
        await _connections.DisposeAsync();
        _server.Dispose();
        if (_hasLeft)
            _directory.Forget();
        else
            _directory.Dispose();
        _stop.Dispose();
    }

    /// <summary>The register's name for the cluster: what the operator calls it, and one founding of it.</summary>
    private string RegisterId(Guid founding)
    {
        byte[] name = Encoding.UTF8.GetBytes(_options.ClusterId);
        string text = name.Length <= 100 ? _options.ClusterId : Convert.ToHexStringLower(SHA256.HashData(name));
        return $"{text}/{founding:N}";
    }

    /// <summary>Null if it is the name of another cluster, or none.</summary>
    private Guid? FoundingOf(string registerId) =>
        registerId.Length > 33 && Guid.TryParseExact(registerId[^32..], "N", out Guid founding) && RegisterId(founding) == registerId ? founding : null;

    private SeedGreeting Greeting()
    {
        lock (_lock)
        {
            return _greeting;
        }
    }

    private void TellDisk(string line) => LogLine(_logger, line);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Line}")]
    private static partial void LogLine(ILogger logger, string line);
}
