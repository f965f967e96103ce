using System.Text;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

public sealed class SessionAllocationTests
{
    [Theory]
    [InlineData("get key\r\n")]
    [InlineData("get missing\r\n")]
    [InlineData("gets key key key key\r\n")]
    [InlineData("set key 0 0 5\r\nhello\r\n")]
    [InlineData("set key 0 0 5 noreply\r\nhello\r\n")]
    [InlineData("delete missing\r\n")]
    [InlineData("touch key 100\r\n")]
    [InlineData("get big\r\n")]
    [InlineData("version\r\n")]
    [InlineData("bogus\r\n")]
    [InlineData("get ke|y\r\n")]
    [InlineData("mg key v t f s k c h l Oopaque\r\n")]
    [InlineData("mg missing k q\r\n")]
    [InlineData("mg a2V5 b k v\r\n")]
    [InlineData("mg big v\r\n")]
    [InlineData("mg key v T30 N30 R30\r\n")]
    [InlineData("ms key 5 c k F1 T100\r\nhello\r\n")]
    [InlineData("ms key 5 q\r\nhe|llo\r\n")]
    [InlineData("md missing q Ox\r\n")]
    [InlineData("ma missing v\r\n")]
    [InlineData("me key\r\n")]
    [InlineData("mn\r\n")]
    [InlineData("mg key v v\r\n")]
    [InlineData("set key 0 0 5\r\nhe|llo\r\n")]
    public void OnTheLocalPathNothingIsAllocated(string command)
    {
        using var harness = new SessionHarness();
        harness.Ask("set key 0 0 5\r\nhello\r\n");
        harness.Ask($"set big 0 0 20000\r\n{new string('b', 20_000)}\r\n");
        byte[][] segments = [.. command.Split('|').Select(static s => Encoding.ASCII.GetBytes(s))];
        Assert.Equal(0, Allocations.LeastOf(() => Run(1000)));

        void Run(int times)
        {
            for (int i = 0; i < times; i++)
            {
                foreach (byte[] segment in segments)
                    harness.Session.Receive(segment);
                harness.Session.Output.Consume(harness.Session.Output.Bytes);
            }
        }
    }

    [Fact]
    public void OnTheRemotePathTheSessionReusesItsPendingReplies()
    {
        using var harness = new SessionHarness();
        harness.Router.IsRemote = static _ => true;
        byte[] command = "get a b c d\r\n"u8.ToArray();
        int count = 0;
        Run(100);
        long sinkBytes = MeasurePending(100);
        Assert.Equal(0, sinkBytes);
        Assert.Equal(200, count);

        void Run(int times)
        {
            for (int i = 0; i < times; i++, count++)
            {
                harness.Session.Receive(command);
                while (harness.Router.Waiting.Count > 0)
                    harness.Router.Waiting[^1].Complete();
                harness.Session.Output.Consume(harness.Session.Output.Bytes);
            }
        }

        // The fake router copies requests; only what the replies cost is the session's.
        long MeasurePending(int times)
        {
            long total = 0;
            for (int i = 0; i < times; i++, count++)
            {
                harness.Session.Receive(command);
                RemoteRequest[] waiting = [.. harness.Router.Waiting];
                foreach (RemoteRequest request in waiting)
                {
                    long before = GC.GetAllocatedBytesForCurrentThread();
                    request.Fail("x");
                    total += GC.GetAllocatedBytesForCurrentThread() - before;
                }

                harness.Session.Output.Consume(harness.Session.Output.Bytes);
            }

            return total;
        }
    }
}
