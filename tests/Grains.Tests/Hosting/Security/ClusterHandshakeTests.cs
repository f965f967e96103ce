using System.IO.Pipelines;
using System.Text;
using OrleansCache.Grains.Hosting.Security;

namespace OrleansCache.Grains.Tests.Hosting.Security;

/// <summary>Who is let through, and what a stranger gets.</summary>
public sealed class ClusterHandshakeTests
{
    private static readonly byte[] s_secret = Encoding.ASCII.GetBytes("a secret of the cluster");

    [Fact]
    public async Task MembersRecogniseEachOtherAndWhatFollowsIsUntouched()
    {
        (Pipe there, Pipe back) = (new Pipe(), new Pipe());
        Task<PeerKind?> accepted =
            new ClusterHandshake("c", s_secret).AcceptAsync(new End(there.Reader, back.Writer), static _ => true, CancellationToken.None);
        await new ClusterHandshake("c", s_secret).InitiateAsync(new End(back.Reader, there.Writer), PeerKind.Seed, CancellationToken.None);
        Assert.Equal(PeerKind.Seed, await accepted);
        await there.Writer.WriteAsync("Orleans"u8.ToArray());
        Assert.Equal("Orleans"u8.ToArray(), System.Buffers.BuffersExtensions.ToArray((await there.Reader.ReadAsync()).Buffer));
    }

    [Theory]
    [InlineData("c", "another secret of a cluster")]
    [InlineData("c", "")]
    [InlineData("another", "a secret of the cluster")]
    public async Task AnotherSecretOrClusterIsRefusedAtBothEnds(string clusterId, string secret)
    {
        (Pipe there, Pipe back) = (new Pipe(), new Pipe());
        Task<PeerKind?> accepted =
            new ClusterHandshake("c", s_secret).AcceptAsync(new End(there.Reader, back.Writer), static _ => true, CancellationToken.None);
        Task initiated = new ClusterHandshake(clusterId, Encoding.ASCII.GetBytes(secret))
            .InitiateAsync(new End(back.Reader, there.Writer), PeerKind.Silo, CancellationToken.None);
        await Assert.ThrowsAsync<HandshakeException>(() => accepted);
        await back.Writer.CompleteAsync();
        HandshakeException refused = await Assert.ThrowsAsync<HandshakeException>(() => initiated);
        Assert.False(refused.MayRetry);
        Assert.Contains("secret", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnAcceptorWithoutTheSecretIsRefused()
    {
        (Pipe there, Pipe back) = (new Pipe(), new Pipe());
        ClusterHandshake member = new("c", s_secret);
        Task initiated = member.InitiateAsync(new End(back.Reader, there.Writer), PeerKind.Silo, CancellationToken.None);
        byte[] mine = await TakeAsync(there.Reader, ClusterHandshake.FrameBytes);

        // What it has heard is all that it knows: it sends frame and proof back.
        await back.Writer.WriteAsync(mine);
        byte[] proof = await TakeAsync(there.Reader, ClusterHandshake.ProofBytes);
        await back.Writer.WriteAsync(proof);
        await Assert.ThrowsAsync<HandshakeException>(() => initiated);
    }

    [Fact]
    public async Task AProofThatWasHeardBeforeOpensNothing()
    {
        (Pipe there, Pipe back) = (new Pipe(), new Pipe());
        ClusterHandshake member = new("c", s_secret);
        Task initiated = member.InitiateAsync(new End(back.Reader, there.Writer), PeerKind.Silo, CancellationToken.None);
        byte[] frame = await TakeAsync(there.Reader, ClusterHandshake.FrameBytes);
        await back.Writer.WriteAsync(frame);
        byte[] proof = await TakeAsync(there.Reader, ClusterHandshake.ProofBytes);
        await back.Writer.CompleteAsync();
        await Assert.ThrowsAsync<HandshakeException>(() => initiated);

        (there, back) = (new Pipe(), new Pipe());
        Task<PeerKind?> accepted = member.AcceptAsync(new End(there.Reader, back.Writer), static _ => true, CancellationToken.None);
        await there.Writer.WriteAsync((byte[])[.. frame, .. proof]);
        await Assert.ThrowsAsync<HandshakeException>(() => accepted);
        byte[] answer = await TakeAsync(back.Reader, ClusterHandshake.FrameBytes);
        Assert.Equal(ClusterHandshake.FrameBytes, answer.Length);
        await back.Writer.CompleteAsync();
        Assert.True((await back.Reader.ReadAsync()).Buffer.IsEmpty, "a stranger got a proof");
    }

    [Fact]
    public async Task WhatIsNoMemberIsRefusedWithItsFirstByteAndGetsNothing()
    {
        (Pipe there, Pipe back) = (new Pipe(), new Pipe());
        Task<PeerKind?> accepted =
            new ClusterHandshake("c", s_secret).AcceptAsync(new End(there.Reader, back.Writer), static _ => true, CancellationToken.None);
        await there.Writer.WriteAsync("g"u8.ToArray());
        HandshakeException refused = await Assert.ThrowsAsync<HandshakeException>(() => accepted);
        Assert.Contains("no node of OrleansCache", refused.Message, StringComparison.Ordinal);
        await back.Writer.CompleteAsync();
        Assert.True((await back.Reader.ReadAsync()).Buffer.IsEmpty);
    }

    [Fact]
    public async Task WhoComesAndGoesIsNoIncident()
    {
        (Pipe there, Pipe back) = (new Pipe(), new Pipe());
        Task<PeerKind?> accepted =
            new ClusterHandshake("c", s_secret).AcceptAsync(new End(there.Reader, back.Writer), static _ => true, CancellationToken.None);
        await there.Writer.CompleteAsync();
        Assert.Null(await accepted);
    }

    private static async Task<byte[]> TakeAsync(PipeReader reader, int count)
    {
        ReadResult result = await reader.ReadAtLeastAsync(count);
        byte[] bytes = System.Buffers.BuffersExtensions.ToArray(result.Buffer.Slice(0, count));
        reader.AdvanceTo(result.Buffer.GetPosition(count));
        return bytes;
    }

    private sealed class End(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input => input;

        public PipeWriter Output => output;
    }
}
