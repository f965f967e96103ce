using System.Buffers;

namespace OrleansCache.Storage.Tests.Replication;

/// <summary>Keeps every effect; position n is <see cref="Entries"/>[n - 1].</summary>
internal sealed class ListEffectLog : EffectLog
{
    private readonly ArrayBufferWriter<byte> _open = new();
    private bool _isOpen;

    public List<byte[]> Entries { get; } = [];

    /// <summary>Of each effect the hash of its key; null: all keys.</summary>
    public List<ulong?> Keys { get; } = [];

    /// <summary>What the direct way is told.</summary>
    public bool AnswersNow { get; set; } = true;

    /// <summary>How often it was asked.</summary>
    public int Questions { get; private set; }

    public override long Position => Entries.Count;

    /// <summary>The kinds of the effects from this number on.</summary>
    public EffectKind[] KindsFrom(int index) => [.. Entries.Skip(index).Select(static entry => (EffectKind)entry[0])];

    /// <summary>The effects of these positions as one block.</summary>
    public byte[] Block(long first, long last) => [.. Entries.GetRange((int)first - 1, (int)(last - first + 1)).SelectMany(static entry => entry)];

    public override bool MayAnswerNow(in CacheRequest request)
    {
        Questions++;
        return AnswersNow;
    }

    public override IBufferWriter<byte> Begin()
    {
        Assert.False(_isOpen, "an effect begins within another");
        _isOpen = true;
        _open.ResetWrittenCount();
        return _open;
    }

    public override void Commit(ulong keyHash) => Add(keyHash);

    public override void CommitFlush() => Add(null);

    private void Add(ulong? key)
    {
        Assert.True(_isOpen, "an effect ends that has not begun");
        _isOpen = false;
        Entries.Add(_open.WrittenSpan.ToArray());
        Keys.Add(key);
    }
}
