using System.IO.Pipelines;
using System.Text;
using OrleansCache.Ownership.Links;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests.Links;

/// <summary>Both ends of a link in one process, with pipes for a network.</summary>
public sealed class LinkTests : IAsyncLifetime
{
    private readonly Pipe _there = new();
    private readonly Pipe _back = new();
    private readonly ManualTime _time = new();
    private readonly Target _target = new();
    private readonly AskingLink _asking;
    private readonly AnsweringLink _answering;
    private readonly Task _asks;
    private readonly Task _answers;

    public LinkTests()
    {
        _asking = new AskingLink(new End(_back.Reader, _there.Writer), _time);
        _answering = new AnsweringLink(new End(_there.Reader, _back.Writer), _target);
        _asks = _asking.RunAsync(CancellationToken.None);
        _answers = _answering.RunAsync(CancellationToken.None);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        _there.Writer.Complete();
        _back.Writer.Complete();
        await Task.WhenAll(_asks, _answers).ContinueWith(static _ => { }, TaskScheduler.Default);
    }

    [Fact]
    public async Task ABatchIsAnsweredWithItsReplyAndTheTablesVersion()
    {
        Task<BatchReply> reply = Ask("one");
        (string batch, LinkCall call) = await _target.NextAsync();
        Assert.Equal("one", batch);
        call.Answer(Bytes("two"), new PartitionTableVersion(7, 9));
        BatchReply answered = await reply;
        Assert.Equal("two", Text(answered.Payload.Span));
        Assert.Equal(new PartitionTableVersion(7, 9), answered.TableVersion);
    }

    [Fact]
    public async Task AnswersMayComeInAnyOrder()
    {
        Task<BatchReply> first = Ask("1");
        Task<BatchReply> second = Ask("2");
        (_, LinkCall firstCall) = await _target.NextAsync();
        (_, LinkCall secondCall) = await _target.NextAsync();
        secondCall.Answer(Bytes("b"), default);
        Assert.Equal("b", Text((await second).Payload.Span));
        Assert.False(first.IsCompleted);
        firstCall.Answer(Bytes("a"), default);
        Assert.Equal("a", Text((await first).Payload.Span));
    }

    [Fact]
    public async Task AReplyMayBeFarLongerThanARequest()
    {
        Task<BatchReply> reply = Ask("x");
        (_, LinkCall call) = await _target.NextAsync();
        byte[] large = new byte[3_000_000];
        new Random(1).NextBytes(large);
        call.Answer(PooledBytes.Wrap(large, large.Length), default);
        Assert.True((await reply).Payload.Span.SequenceEqual(large));

        // And what comes after it is whole.
        Task<BatchReply> next = Ask("y");
        (_, call) = await _target.NextAsync();
        call.Answer(Bytes("z"), default);
        Assert.Equal("z", Text((await next).Payload.Span));
    }

    [Fact]
    public void WhatIsTooLongForALinkIsNotTaken()
    {
        byte[] bytes = new byte[LinkFormat.RequestBytesMax + 1];
        Assert.False(_asking.TrySendBatch(PooledBytes.Wrap(bytes, bytes.Length), 0, out _));
        Assert.True(_asking.TrySendBatch(PooledBytes.Wrap(bytes, bytes.Length - 1), 0, out _));
    }

    [Fact]
    public async Task ReplicationIsTakenAndItsReplyTold()
    {
        var call = new Call();
        Assert.True(_asking.TrySendReplication(Bytes("effects"), call));
        Assert.Equal("reply to effects", await call.Outcome);
    }

    [Fact]
    public async Task BadBytesFailTheirCallAndNoOther()
    {
        Task<BatchReply> bad = Ask(Target.Bad);
        await Assert.ThrowsAsync<IOException>(() => bad);
        var call = new Call();
        Assert.True(_asking.TrySendReplication(Bytes(Target.Bad), call));
        Assert.Null(await call.Outcome);
        Task<BatchReply> good = Ask("good");
        (_, LinkCall answer) = await _target.NextAsync();
        answer.Answer(Bytes("yes"), default);
        Assert.Equal("yes", Text((await good).Payload.Span));
    }

    [Fact]
    public async Task WhatHasNoAnswerWhenTheLinkEndsHasFailed()
    {
        Task<BatchReply> batch = Ask("one");
        Task<BatchReply> other = Ask("other");
        _back.Writer.Complete();
        await Assert.ThrowsAsync<IOException>(() => batch);
        await Assert.ThrowsAsync<IOException>(() => other);
        await _asks;
        Assert.False(_asking.TrySendBatch(Bytes("late"), 0, out _));
    }

    [Fact]
    public async Task ASiloThatLeavesAnswersWhatItHasBeenAskedAndIsAskedNothingMore()
    {
        Task<BatchReply> under = Ask("under way");
        (_, LinkCall call) = await _target.NextAsync();
        _answering.BeginClosing();

        // The word has arrived when something that was sent after it has.
        var later = new Call();
        while (_asking.TrySendReplication(Bytes("effects"), later = new Call()))
            await later.Outcome;
        Assert.True(_asking.IsClosing);
        Assert.False(_asking.TrySendBatch(Bytes("more"), 0, out _));
        Assert.False(_asking.Drained.IsCompleted);
        call.Answer(Bytes("done"), default);
        Assert.Equal("done", Text((await under).Payload.Span));
        await _asking.Drained;
    }

    [Fact]
    public async Task ASilenceIsKnownAndALateAnswerAloneIsNone()
    {
        Task<BatchReply> reply = Ask("one");
        (_, LinkCall call) = await _target.NextAsync();
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.False(_asking.IsSilent(TimeSpan.FromSeconds(5)));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.True(_asking.IsSilent(TimeSpan.FromSeconds(5)));
        var other = new Call();
        Assert.True(_asking.TrySendReplication(Bytes("effects"), other));
        await other.Outcome;
        Assert.False(_asking.IsSilent(TimeSpan.FromSeconds(5)));
        _time.Advance(TimeSpan.FromSeconds(6));
        Assert.True(_asking.IsSilent(TimeSpan.FromSeconds(5)));
        call.Answer(Bytes("two"), default);
        await reply;
        _time.Advance(TimeSpan.FromSeconds(6));
        Assert.False(_asking.IsSilent(TimeSpan.FromSeconds(5)));
    }

    /// <summary>Its sender may have given it up, and it may be executed yet.</summary>
    [Fact]
    public async Task ALaneWhoseBatchHasNoAnswerIsKnown()
    {
        Assert.False(_asking.OwesLane(Lane));
        Task<BatchReply> reply = Ask("one");
        (_, LinkCall call) = await _target.NextAsync();
        Assert.True(_asking.OwesLane(Lane));
        Assert.False(_asking.OwesLane(Lane + 1));
        call.Answer(Bytes("two"), default);
        await reply;
        Assert.False(_asking.OwesLane(Lane));
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(int.MaxValue, 1)]
    [InlineData(0, 0)]
    [InlineData(0, 7)]
    [InlineData(0, (int)LinkFrame.BatchReply)]
    public async Task WhatIsNoQuestionEndsTheLink(int length, int kind)
    {
        byte[] header = new byte[LinkFormat.HeaderBytes];
        BitConverter.TryWriteBytes(header, length);
        BitConverter.TryWriteBytes(header.AsSpan(4), kind);
        await _there.Writer.WriteAsync(header);
        await Assert.ThrowsAsync<InvalidDataException>(() => _answers);
    }

    [Fact]
    public async Task AnAnswerThatNobodyHasAskedForEndsTheLink()
    {
        byte[] header = new byte[LinkFormat.HeaderBytes + LinkFormat.TableVersionBytes];
        LinkFormat.WriteHeader(header, LinkFrame.BatchReply, 99, LinkFormat.TableVersionBytes);
        Task<BatchReply> waits = Ask("one");
        await _back.Writer.WriteAsync(header);
        await Assert.ThrowsAsync<InvalidDataException>(() => _asks);
        await Assert.ThrowsAsync<IOException>(() => waits);
    }

    /// <summary>As the bytes stand in a cluster with another build in it.</summary>
    [Fact]
    public void AFrameIsWhatItHasAlwaysBeen()
    {
        byte[] header = new byte[LinkFormat.HeaderBytes + LinkFormat.TableVersionBytes];
        LinkFormat.WriteHeader(header, LinkFrame.Replication, 0x0102030405060708, 0x11223344);
        LinkFormat.WriteTableVersion(header.AsSpan(LinkFormat.HeaderBytes), new PartitionTableVersion(3, 4));
        Assert.Equal("44332211020000000807060504030201" + "0300000000000000" + "0400000000000000", Convert.ToHexString(header));
        Assert.Equal([1, 2, 3, 4, 5, 6], Enum.GetValues<LinkFrame>().Select(static kind => (int)kind));
    }

    /// <summary>However the bytes are cut by the network.</summary>
    [Fact]
    public async Task FramesThatArriveByteByByteAreTheSame()
    {
        byte[] payload = "hello"u8.ToArray();
        byte[] frame = new byte[LinkFormat.HeaderBytes + payload.Length];
        LinkFormat.WriteHeader(frame, LinkFrame.Batch, 5, payload.Length);
        payload.CopyTo(frame, LinkFormat.HeaderBytes);
        foreach (byte one in (byte[])[.. frame, .. frame])
            await _there.Writer.WriteAsync((byte[])[one]);
        Assert.Equal("hello", (await _target.NextAsync()).Batch);
        Assert.Equal("hello", (await _target.NextAsync()).Batch);
    }

    private static PooledBytes Bytes(string text)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(text);
        return PooledBytes.Wrap(bytes, bytes.Length);
    }

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.ASCII.GetString(bytes);

    private const int Lane = 3;

    private Task<BatchReply> Ask(string text)
    {
        Assert.True(_asking.TrySendBatch(Bytes(text), Lane, out Task<BatchReply>? reply));
        return reply;
    }

    private sealed record End(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class Call : IReplicaCall
    {
        private readonly TaskCompletionSource<string?> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Null for a failure.</summary>
        public Task<string?> Outcome => _outcome.Task;

        public void OnReply(ReadOnlySpan<byte> reply) => _outcome.SetResult(Text(reply));

        public void OnFailure() => _outcome.SetResult(null);
    }

    private sealed class Target : ILinkTarget
    {
        public const string Bad = "bad";

        private readonly System.Threading.Channels.Channel<(string, LinkCall)> _batches =
            System.Threading.Channels.Channel.CreateUnbounded<(string, LinkCall)>();

        public async Task<(string Batch, LinkCall Call)> NextAsync() => await _batches.Reader.ReadAsync();

        public void ExecuteBatch(ReadOnlySpan<byte> batch, LinkCall call)
        {
            if (Text(batch) == Bad)
                throw new InvalidDataException();
            _batches.Writer.TryWrite((Text(batch), call));
        }

        public byte[] TakeReplication(ReadOnlySpan<byte> message) =>
            Text(message) == Bad ? throw new InvalidDataException() : Encoding.ASCII.GetBytes("reply to " + Text(message));
    }
}
