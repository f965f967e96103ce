using System.Text.Json.Serialization;

namespace OrleansCache.Monitoring.Api;

// The documents below /api; docs/http.md tells what each field means. Fields may be added; none is renamed or changes its meaning.

internal sealed record StatusDocument
{
    public string Product { get; } = "OrleansCache";
    public required string Version { get; init; }
    public required string MemcachedVersion { get; init; }
    public required double Time { get; init; }
    public required double UptimeSeconds { get; init; }
    public required int Pid { get; init; }
    public required string Role { get; init; }
    public required string? Silo { get; init; }
    public required string? Gateway { get; init; }
    public required bool Ready { get; init; }
    public required string? NotReadyReason { get; init; }
    public required double? HitRatio { get; init; }
    public required IReadOnlyDictionary<string, long> Values { get; init; }
    public required ClusterDocument? Cluster { get; init; }
    public required IReadOnlyList<Warning> Warnings { get; init; }
}

internal sealed record ClusterDocument
{
    public required int Silos { get; init; }
    public required int SilosAnswering { get; init; }
    public required int Gateways { get; init; }
    public required int Partitions { get; init; }
    public required int PartitionsWithoutOwner { get; init; }
    public required int PartitionsMoving { get; init; }
    public required long MovesCommitted { get; init; }
    public required long MovesFailed { get; init; }
    public required double? HitRatio { get; init; }
    public required IReadOnlyDictionary<string, long> Values { get; init; }
}

internal sealed record SilosDocument(IReadOnlyList<SiloDocument> Silos);

internal sealed record SiloDocument
{
    public required string Silo { get; init; }
    public required string State { get; init; }
    public required bool IsThis { get; init; }
    public required string? Gateway { get; init; }
    public required int Partitions { get; init; }
    public required double? HitRatio { get; init; }
    public required IReadOnlyDictionary<string, long>? Values { get; init; }
}

internal sealed record PartitionsDocument
{
    public required int Count { get; init; }
    public required string Version { get; init; }
    public required IReadOnlyList<string> Silos { get; init; }
    public required IReadOnlyList<int> Owners { get; init; }
    public required IReadOnlyList<MoveDocument> Moves { get; init; }
    public required long MovesCommitted { get; init; }
    public required long MovesFailed { get; init; }
    public required long MovesAborted { get; init; }
    public required bool MovesPaused { get; init; }
    public required long PartitionsToMove { get; init; }
}

internal sealed record MoveDocument(int Partition, string? From, string? To);

internal sealed record MemoryDocument
{
    public required long LimitBytes { get; init; }
    public required long PageBytes { get; init; }
    public required long PageBytesUsed { get; init; }
    public required long PageBytesFree { get; init; }
    public required long ItemBytes { get; init; }
    public required long IndexBytes { get; init; }
    public required long GhostBytes { get; init; }
    public required long PinnedBytes { get; init; }
    public required long Items { get; init; }
    public required IReadOnlyDictionary<string, long> Lost { get; init; }
    public required long EvictedUnfetched { get; init; }
    public required long EvictedActive { get; init; }
    public required IReadOnlyList<ClassDocument> Classes { get; init; }
}

internal sealed record ClassDocument
{
    public required int Class { get; init; }
    public required int ChunkBytes { get; init; }
    public required long Pages { get; init; }
    public required long UsedChunks { get; init; }
    public required long FreeChunks { get; init; }
    public required long Items { get; init; }
    public required long RequestedBytes { get; init; }
    public required double? UsefulRatio { get; init; }
    public required long AgeSeconds { get; init; }
    public required long Evicted { get; init; }
    public required long? EvictedAgeSeconds { get; init; }
    public required long Hits { get; init; }
    public required long Sets { get; init; }
}

internal sealed record CommandsDocument(long Operations, IReadOnlyList<CommandDocument> Commands);

internal sealed record CommandDocument
{
    public required string Command { get; init; }
    public required string Outcome { get; init; }
    public required long Count { get; init; }
    public required double? P50Microseconds { get; init; }
    public required double? P90Microseconds { get; init; }
    public required double? P99Microseconds { get; init; }
    public required double? P999Microseconds { get; init; }
    public required double? MaxMicroseconds { get; init; }
    public required double SumMicroseconds { get; init; }

    /// <summary>Upper bound in microseconds, count.</summary>
    public required IReadOnlyList<double[]> Buckets { get; init; }
}

internal sealed record ConnectionsDocument
{
    public required long Current { get; init; }
    public required int Max { get; init; }
    public required long Total { get; init; }
    public required long Rejected { get; init; }
    public required long IdleKicked { get; init; }
    public required long Yields { get; init; }
    public required bool Accepting { get; init; }
    public required long BytesRead { get; init; }
    public required long BytesWritten { get; init; }
    public required IReadOnlyList<ConnectionDocument> Connections { get; init; }
    public required int More { get; init; }
}

internal sealed record ConnectionDocument(long Id, string Address, string Listener, string State, long IdleSeconds);

internal sealed record KeysDocument
{
    public required int SampledOneIn { get; init; }
    public required IReadOnlyList<HotKeyDocument> Hot { get; init; }
    public required IReadOnlyList<LargeItemDocument> Large { get; init; }
}

internal sealed record HotKeyDocument(string Key, long Sampled, double Share);

internal sealed record LargeItemDocument(string Key, long ValueBytes);

internal sealed record SettingsDocument(IReadOnlyDictionary<string, string> Values);

internal sealed record WarningsDocument(IReadOnlyList<Warning> Warnings);

/// <summary>What an operator should look at.</summary>
internal sealed record Warning(string Id, string Severity, string Subject, string Text, string Advice);

internal sealed record AllDocument
{
    public required StatusDocument Status { get; init; }
    public required SilosDocument Silos { get; init; }
    public required PartitionsDocument Partitions { get; init; }
    public required MemoryDocument Memory { get; init; }
    public required CommandsDocument Commands { get; init; }
    public required ConnectionsDocument Connections { get; init; }
    public required KeysDocument Keys { get; init; }
    public required SettingsDocument Settings { get; init; }
    public required WarningsDocument Warnings { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(AllDocument))]
internal sealed partial class ApiJson : JsonSerializerContext;
