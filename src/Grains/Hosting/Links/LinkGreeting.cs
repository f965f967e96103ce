using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting.Links;

/// <summary>
/// What is said on a link after the handshake, before its frames: whom it is meant for, and whose it is. An address alone may be another process's by now.
/// <code>
/// asking    -> version u8 = 1 | length u8 | the other silo, text | length u8 | this silo, text
/// answering -> version u8 = 1, or the connection closes
/// </code>
/// </summary>
internal static class LinkGreeting
{
    public const byte Version = 1;

    private const int TextBytesMax = byte.MaxValue;

    /// <summary>Returns false if the silo that was meant is not there, or wants no link.</summary>
    public static async Task<bool> SendAsync(IDuplexPipe pipe, SiloId target, SiloId self, CancellationToken cancellationToken)
    {
        await pipe.Output.WriteAsync((byte[])[Version, .. Encode(target), .. Encode(self)], cancellationToken).ConfigureAwait(false);
        ReadResult result = await pipe.Input.ReadAtLeastAsync(1, cancellationToken).ConfigureAwait(false);
        bool isWelcome = !result.Buffer.IsEmpty && result.Buffer.FirstSpan[0] == Version;
        pipe.Input.AdvanceTo(isWelcome ? result.Buffer.GetPosition(1) : result.Buffer.Start);
        return isWelcome;
    }

    /// <summary>Whose link it is, if it is meant for this silo. Null for all that is none; then nothing was answered.</summary>
    public static async Task<SiloId?> ReceiveAsync(IDuplexPipe pipe, SiloId self, CancellationToken cancellationToken)
    {
        int bytesMin = 3;
        while (true)
        {
            ReadResult result = await pipe.Input.ReadAtLeastAsync(bytesMin, cancellationToken).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (buffer.Length < bytesMin)
                return null;
            byte[] bytes = buffer.Slice(0, Math.Min(buffer.Length, 3 + 2 * TextBytesMax)).ToArray();
            int selfAt = 2 + bytes[1];
            bytesMin = selfAt + 1;
            if (bytes.Length >= bytesMin)
                bytesMin += bytes[selfAt];
            if (bytes.Length < bytesMin)
            {
                pipe.Input.AdvanceTo(buffer.Start, buffer.End);
                continue;
            }

            pipe.Input.AdvanceTo(buffer.GetPosition(bytesMin));
            string target = Encoding.ASCII.GetString(bytes, 2, bytes[1]);
            string source = Encoding.ASCII.GetString(bytes, selfAt + 1, bytes[selfAt]);
            return bytes[0] == Version && target == self.Text && SiloId.TryParse(source, out SiloId silo) ? silo : null;
        }
    }

    public static ValueTask<FlushResult> WelcomeAsync(IDuplexPipe pipe, CancellationToken cancellationToken) =>
        pipe.Output.WriteAsync((byte[])[Version], cancellationToken);

    private static byte[] Encode(SiloId silo)
    {
        byte[] text = Encoding.ASCII.GetBytes(silo.Text);
        return text.Length <= TextBytesMax ? [(byte)text.Length, .. text] : throw new ArgumentException("The silo's address is too long.", nameof(silo));
    }
}
