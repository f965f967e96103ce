using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.OutputCaching;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Logging;

namespace OrleansCache.Client.OutputCaching;

/// <summary>
/// ASP.NET's output cache on a distributed cache that knows neither tags nor scans.
/// <para>
/// A tag is an entry of its own, whose value is its generation: 8 random bytes. A response remembers the generations that its tags had when it was stored, and
/// counts only as long as they have them. Evicting a tag removes its generation: what was stored under it can never be right again, since a new one is drawn. A
/// generation that the cache has evicted to make room has the same effect. So a response without tags costs one read, one with tags two in a row (the
/// generations are asked for together).
/// </para>
/// <code>
/// key                value
/// output:KEY         version (1) | tags (2 bytes) | for each: bytes of its name (2), name, generation (8) | the response
/// output-tag:TAG     generation (8)
/// </code>
/// A cache that fails is a miss, and is logged: pages are rendered then. Only an eviction that fails is an error, because whoever asked for it must know.
/// </summary>
internal sealed partial class OrleansOutputCacheStore(IBufferDistributedCache cache, ILogger<OrleansOutputCacheStore> logger)
    : IOutputCacheStore, IOutputCacheBufferStore
{
    private const byte Version = 1;
    private const int HeadBytes = 3, GenerationBytes = 8, NameLengthBytes = 2;
    private const string KeyPrefix = "output:", TagPrefix = "output-tag:";

    private static readonly DistributedCacheEntryOptions s_forever = new();

    public async ValueTask<byte[]?> GetAsync(string key, CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte>? response = await FindAsync(key, cancellationToken).ConfigureAwait(false);
        return response?.ToArray();
    }

    public async ValueTask<bool> TryGetAsync(string key, PipeWriter destination, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(destination);
        if (await FindAsync(key, cancellationToken).ConfigureAwait(false) is not { } response)
            return false;
        await destination.WriteAsync(response, cancellationToken).ConfigureAwait(false);
        return true;
    }

    public ValueTask SetAsync(string key, byte[] value, string[]? tags, TimeSpan validFor, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(value);
        return SetAsync(key, new ReadOnlySequence<byte>(value), tags, validFor, cancellationToken);
    }

    public async ValueTask SetAsync(string key, ReadOnlySequence<byte> value, ReadOnlyMemory<string> tags, TimeSpan validFor,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (validFor <= TimeSpan.Zero)
            return;
        try
        {
            byte[][] names = new byte[tags.Length][];
            for (int i = 0; i < names.Length; i++)
                names[i] = Encoding.UTF8.GetBytes(tags.Span[i]);
            if (names.Length > ushort.MaxValue || Array.Exists(names, name => name.Length > ushort.MaxValue))
                throw new ArgumentException($"More than {ushort.MaxValue} tags, or a tag of more bytes.", nameof(tags));
            byte[][] generations = await Task.WhenAll(tags.ToArray().Select(tag => EnsureGenerationAsync(tag, cancellationToken))).ConfigureAwait(false);
            var head = new ArrayBufferWriter<byte>(HeadBytes + names.Sum(name => NameLengthBytes + name.Length + GenerationBytes));
            head.Write([Version]);
            WriteLength(head, names.Length);
            for (int i = 0; i < names.Length; i++)
            {
                WriteLength(head, names[i].Length);
                head.Write(names[i]);
                head.Write(generations[i]);
            }

            await cache.SetAsync(KeyPrefix + key, Join(head.WrittenMemory, value),
                new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = validFor }, cancellationToken).ConfigureAwait(false);
        }
        catch (OrleansCacheException exception)
        {
            LogNotStored(logger, exception);
        }
    }

    public async ValueTask EvictByTagAsync(string tag, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(tag);
        await cache.RemoveAsync(TagPrefix + tag, cancellationToken).ConfigureAwait(false);
    }

    private async Task<ReadOnlyMemory<byte>?> FindAsync(string key, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(key);
        try
        {
            byte[]? entry = await cache.GetAsync(KeyPrefix + key, cancellationToken).ConfigureAwait(false);
            if (entry is null || !TryRead(entry, out List<(string Tag, ReadOnlyMemory<byte> Generation)> tags, out ReadOnlyMemory<byte> response))
                return null;
            bool[] counts = await Task.WhenAll(tags.Select(tag => HasGenerationAsync(tag.Tag, tag.Generation, cancellationToken))).ConfigureAwait(false);
            
            // The type is said: without it null would become an empty response.
            return Array.TrueForAll(counts, static isRight => isRight) ? (ReadOnlyMemory<byte>?)response : null;
        }
        catch (OrleansCacheException exception)
        {
            LogNotRead(logger, exception);
            return null;
        }
    }

    private async Task<bool> HasGenerationAsync(string tag, ReadOnlyMemory<byte> generation, CancellationToken cancellationToken)
    {
        byte[]? current = await cache.GetAsync(TagPrefix + tag, cancellationToken).ConfigureAwait(false);
        return current is not null && generation.Span.SequenceEqual(current);
    }

    private async Task<byte[]> EnsureGenerationAsync(string tag, CancellationToken cancellationToken)
    {
        byte[]? current = await cache.GetAsync(TagPrefix + tag, cancellationToken).ConfigureAwait(false);
        if (current is { Length: GenerationBytes })
            return current;

        // Of two that draw at once the later one counts; what was stored under the other is a miss.
        byte[] drawn = RandomNumberGenerator.GetBytes(GenerationBytes);
        await cache.SetAsync(TagPrefix + tag, drawn, s_forever, cancellationToken).ConfigureAwait(false);
        return drawn;
    }

    private static bool TryRead(byte[] entry, out List<(string Tag, ReadOnlyMemory<byte> Generation)> tags, out ReadOnlyMemory<byte> response)
    {
        tags = [];
        response = default;
        if (entry.Length < HeadBytes || entry[0] != Version)
            return false;
        int count = BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(1));
        ReadOnlyMemory<byte> rest = entry.AsMemory(HeadBytes);
        for (int i = 0; i < count; i++)
        {
            if (rest.Length < NameLengthBytes)
                return false;
            int length = BinaryPrimitives.ReadUInt16BigEndian(rest.Span);
            rest = rest[NameLengthBytes..];
            if (rest.Length < length + GenerationBytes)
                return false;
            tags.Add((Encoding.UTF8.GetString(rest.Span[..length]), rest.Slice(length, GenerationBytes)));
            rest = rest[(length + GenerationBytes)..];
        }

        response = rest;
        return true;
    }

    private static void WriteLength(ArrayBufferWriter<byte> writer, int length)
    {
        BinaryPrimitives.WriteUInt16BigEndian(writer.GetSpan(NameLengthBytes), (ushort)length);
        writer.Advance(NameLengthBytes);
    }

    /// <summary>The two behind each other, without a copy.</summary>
    private static ReadOnlySequence<byte> Join(ReadOnlyMemory<byte> head, ReadOnlySequence<byte> value)
    {
        var first = new Segment(head, null);
        Segment last = first;
        foreach (ReadOnlyMemory<byte> part in value)
            last = new Segment(part, last);
        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> bytes, Segment? before)
        {
            Memory = bytes;
            if (before is null)
                return;
            RunningIndex = before.RunningIndex + before.Memory.Length;
            before.Next = this;
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "A response could not be read from the cache; it is rendered instead")]
    private static partial void LogNotRead(ILogger logger, Exception exception);

    [LoggerMessage(2, LogLevel.Warning, "A response could not be stored in the cache")]
    private static partial void LogNotStored(ILogger logger, Exception exception);
}
