using System.Net;
using System.Net.Sockets;
using OrleansCache.Gateway.Datagrams;

namespace OrleansCache.Gateway.Pipelines;

/// <summary>
/// A UDP socket on one Pipelines loop: one task receives, each datagram is worked on in the loop, and one datagram at a time is on its way out.
/// </summary>
internal sealed class PipelinesDatagramPort : DatagramPort
{
    private const int DatagramBytesMax = 65536;
    private static readonly TimeSpan ReceivePause = TimeSpan.FromMilliseconds(100);

    private readonly PipelinesLoop _loop;
    private readonly Socket _socket;
    private readonly CancellationTokenSource _stop = new();
    private readonly LoopSwitch _receiverSwitch;
    private readonly LoopSwitch _senderSwitch;
    private readonly SocketAddress _to;
    private bool _isSending;

    public PipelinesDatagramPort(PipelinesLoop loop, Socket socket)
        : base(loop.Context, DatagramSocket.NameOf(socket))
    {
        _loop = loop;
        _socket = socket;
        _receiverSwitch = new LoopSwitch(loop);
        _senderSwitch = new LoopSwitch(loop);
        _to = new SocketAddress(socket.AddressFamily, DatagramExchange.PeerBytesMax);
    }

    /// <summary>Ends when nothing is received any more.</summary>
    public Task Receiving { get; private set; } = Task.CompletedTask;

    protected override bool CanSend => !_isSending;

    public void Start() => Receiving = ReceiveAsync();

    public void StopReceiving() => _stop.Cancel();

    protected override DatagramSend Send(int length, ReadOnlySpan<byte> peer)
    {
        peer.CopyTo(_to.Buffer.Span);
        _to.Size = peer.Length;
        ValueTask<int> sending;
        try
        {
            sending = _socket.SendToAsync(Scratch[..length], SocketFlags.None, _to, CancellationToken.None);
            if (sending.IsCompleted)
            {
                _ = sending.Result;
                return DatagramSend.Sent;
            }
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
        {
            return DatagramSend.Failed;
        }

        _isSending = true;
        _ = FinishSendingAsync(sending);
        return DatagramSend.Sent;
    }

    protected override void WatchSending()
    {
        // The datagram that is on its way comes back for them.
    }

    protected override void Close()
    {
        _stop.Cancel();
        _socket.Dispose();
    }

    private async Task FinishSendingAsync(ValueTask<int> sending)
    {
        bool isSent = true;
        try
        {
            _ = await sending.ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            isSent = false;
        }

        await _senderSwitch;
        _isSending = false;
        if (!isSent)
            Loop.Counters.DatagramsUnsent++;
        SendUnsent();
    }

    private async Task ReceiveAsync()
    {
        byte[] buffer = GC.AllocateUninitializedArray<byte>(DatagramBytesMax, pinned: true);
        var from = new SocketAddress(_socket.AddressFamily, DatagramExchange.PeerBytesMax);
        while (!_stop.IsCancellationRequested)
        {
            int length;
            try
            {
                from.Size = DatagramExchange.PeerBytesMax;
                length = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, from, _stop.Token).ConfigureAwait(false);
            }
            catch (SocketException failure) when (failure.SocketErrorCode is SocketError.ConnectionReset or SocketError.MessageSize)
            {
                // Somebody to whom a reply went is not there any more, or sent more than a datagram may hold: Windows says so here.
                continue;
            }
            catch (Exception failure) when (failure is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException failure)
            {
                // No memory for it at the moment, most likely: look away for a while.
                _loop.Context.Shared.AcceptPauses.Begin(failure.Message);
                if (!await PauseAsync().ConfigureAwait(false))
                    return;
                _loop.Context.Shared.AcceptPauses.End(ReceivePause);
                continue;
            }

            await _receiverSwitch;
            Take(buffer, length, from.Buffer.Span[..from.Size]);
        }
    }

    private async Task<bool> PauseAsync()
    {
        try
        {
            await Task.Delay(ReceivePause, _stop.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private unsafe void Take(byte[] buffer, int length, ReadOnlySpan<byte> peer)
    {
        fixed (byte* datagram = buffer)
            Receive(datagram, length, peer);
    }
}
