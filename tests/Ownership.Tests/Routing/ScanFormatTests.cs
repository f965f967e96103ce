using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests.Routing;

public sealed class ScanFormatTests
{
    private static readonly ItemScanPage Page = new(
        [new ItemRecord([1, 2, 3], 7, uint.MaxValue, ulong.MaxValue, true, 3, 99, 0xFFFF_FFFF),
            new ItemRecord([0], 0, 1, 2, false, 1, 50, 0, IsBinaryKey: true)],
        0x1_0000_0000, true);

    [Fact]
    public void APageSurvivesTheWire()
    {
        ItemScanPage? read = ScanFormat.Decode(ScanFormat.Encode(Page));
        Assert.NotNull(read);
        Assert.Equal((Page.NextPosition, Page.IsLast, Page.Items.Count), (read.NextPosition, read.IsLast, read.Items.Count));
        for (int i = 0; i < Page.Items.Count; i++)
        {
            Assert.Equal(Page.Items[i].Key, read.Items[i].Key);
            Assert.Equal(Page.Items[i] with { Key = read.Items[i].Key }, read.Items[i]);
        }
    }

    [Fact]
    public void ACutPageIsRefused()
    {
        byte[] wire = ScanFormat.Encode(Page);
        for (int length = 0; length < wire.Length; length++)
            Assert.Null(ScanFormat.Decode(wire.AsSpan(0, length)));
    }
}
