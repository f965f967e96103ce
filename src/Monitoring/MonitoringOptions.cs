using System.Net;
using OrleansCache.Gateway.Passwords;

namespace OrleansCache.Monitoring;

/// <summary>What the HTTP port is started with.</summary>
public sealed record MonitoringOptions
{
    /// <summary>--http; null: no port.</summary>
    public IPEndPoint? EndPoint { get; init; }

    /// <summary>--http-token-file: who shows it may read everything. Null: there is none.</summary>
    public string? Token { get; init; }

    /// <summary>-Y: its users may read everything. Null: there are none.</summary>
    public PasswordCheck? Logins { get; init; }

    /// <summary>--otlp: the collector that metrics are sent to; null: none.</summary>
    public Uri? Otlp { get; init; }

    /// <summary>The product's own version.</summary>
    public required string Version { get; init; }

    public NodeRole Role { get; init; }

    /// <summary>Whether everybody who reaches the port may read.</summary>
    public bool IsOpen => Token is null && Logins is null;
}

/// <summary>What a process is in its cluster.</summary>
public enum NodeRole
{
    /// <summary>There is no cluster.</summary>
    Single = 0,
    Silo,

    /// <summary>A gateway without partitions.</summary>
    Gateway,
}
