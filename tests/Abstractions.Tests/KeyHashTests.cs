namespace OrleansCache.Abstractions.Tests;

/// <summary>The hash decides which partition holds a key, in every process and every version: these numbers must never change.</summary>
public sealed class KeyHashTests
{
    [Theory]
    [InlineData(0, 0x96EBBE173FF72A30UL)]
    [InlineData(1, 0x554ED9650677E1A3UL)]
    [InlineData(2, 0x0424685A82C22FFFUL)]
    [InlineData(3, 0xC4BF27489DA0FFDBUL)]
    [InlineData(4, 0xD81DF7B97B3E9A28UL)]
    [InlineData(5, 0xC90BBD2B346CA76CUL)]
    [InlineData(6, 0xD43FE39915AB53C1UL)]
    [InlineData(7, 0xF7E15F8D4589DE38UL)]
    [InlineData(8, 0x6AE21FB3CE74C134UL)]
    [InlineData(9, 0x17AB6B61198D25F2UL)]
    [InlineData(10, 0xD8C1DB40B76ABE33UL)]
    [InlineData(11, 0x63074669DB79B6E3UL)]
    [InlineData(12, 0x3BD58C5181B982D4UL)]
    [InlineData(13, 0x0F16968A12B79F5EUL)]
    [InlineData(14, 0x54A5E160E49C3EBDUL)]
    [InlineData(15, 0x9EB7B4EDFCB1C94AUL)]
    [InlineData(16, 0x1B7FA588DDA18EFEUL)]
    [InlineData(17, 0xCC90F4DE46DBE519UL)]
    [InlineData(18, 0xFC8B93DE0B27A5ADUL)]
    [InlineData(19, 0xC68C037EE96E3E70UL)]
    [InlineData(20, 0xFAD9607760B97535UL)]
    [InlineData(21, 0x5127BA1E7A1F9301UL)]
    [InlineData(22, 0xCB92624F155FCB40UL)]
    [InlineData(23, 0xEAB5F28257349257UL)]
    [InlineData(24, 0x686D572C5DF33851UL)]
    [InlineData(25, 0xBCB2E35081F04796UL)]
    [InlineData(26, 0x904B951A3F39DCC1UL)]
    [InlineData(27, 0x5C76B308130ECBC7UL)]
    [InlineData(28, 0x72BB24525D858052UL)]
    [InlineData(29, 0x22A409AC17924A8AUL)]
    [InlineData(30, 0x7645BB8FD8B716EAUL)]
    [InlineData(31, 0x3AA91D6ADD7B073AUL)]
    [InlineData(32, 0x1286191716A68852UL)]
    [InlineData(33, 0xCE245638BAF41417UL)]
    [InlineData(34, 0xB4DE6855092BD8ADUL)]
    [InlineData(35, 0xBC27061FEA2636FAUL)]
    [InlineData(36, 0xC4322B567C575C42UL)]
    [InlineData(37, 0x37958472BA1567C3UL)]
    [InlineData(38, 0xCC4BFB15B126E1AFUL)]
    [InlineData(39, 0x0C1100A2428B6FB8UL)]
    [InlineData(40, 0x812516E8B7334C7BUL)]
    [InlineData(63, 0x46C29E16ADBC9B32UL)]
    [InlineData(64, 0x3B19905C4E6D7FACUL)]
    [InlineData(65, 0xC0380A6980E93442UL)]
    [InlineData(127, 0x2FB59E2F179DB498UL)]
    [InlineData(128, 0xC2DB7C2787D93FECUL)]
    [InlineData(250, 0x42CEED76CBD91575UL)]
    public void ComputeReturnsThePinnedNumber(int length, ulong expected) => Assert.Equal(expected, KeyHash.Compute(Pattern(length)));

    [Theory]
    [InlineData("a", 0xDA9C83EE0C834F3EUL)]
    [InlineData("foo", 0xD980F126621F8BFEUL)]
    [InlineData("key", 0x229D2B4FEB3A96D4UL)]
    [InlineData("user:1", 0xE7AA90C185D2766CUL)]
    [InlineData("user:2", 0x55E400B3114F3DDFUL)]
    [InlineData("session:0123456789abcdef", 0x6AE4426B260A8FB8UL)]
    [InlineData("äöü", 0xB1AC16EDBAC7F45BUL)]
    public void ComputeReturnsThePinnedNumberOfAText(string key, ulong expected) => Assert.Equal(expected, KeyHash.Compute(System.Text.Encoding.UTF8.GetBytes(key)));

    [Fact]
    public void EveryByteOfAKeyCountsAtEveryLength()
    {
        for (int length = 1; length <= Limits.KeyBytesMax; length++)
        {
            byte[] key = Pattern(length);
            ulong whole = KeyHash.Compute(key);
            for (int at = 0; at < length; at++)
            {
                key[at] ^= 1;
                Assert.True(whole != KeyHash.Compute(key), $"byte {at} of a key of {length} bytes does not count");
                key[at] ^= 1;
            }
        }
    }

    [Theory]
    [InlineData(256, "user:{0}")]
    [InlineData(256, "{0}")]
    [InlineData(256, "session:0000000000000000:{0:x8}:profile")]
    [InlineData(251, "{0:d32}")]
    public void KeysSpreadEvenlyOverPartitions(int partitionCount, string format)
    {
        const int KeysPerPartition = 400;
        int[] counts = new int[partitionCount];
        for (int i = 0; i < partitionCount * KeysPerPartition; i++)
        {
            byte[] key = System.Text.Encoding.UTF8.GetBytes(string.Format(System.Globalization.CultureInfo.InvariantCulture, format, i));
            counts[PartitionId.OfHash(KeyHash.Compute(key), partitionCount).Value]++;
        }

        // Chi squared over n - 1 degrees of freedom: mean n - 1, standard deviation sqrt(2 (n - 1)). Six deviations do not happen to a good hash.
        double chiSquared = counts.Sum(count => (double)(count - KeysPerPartition) * (count - KeysPerPartition) / KeysPerPartition);
        double limit = partitionCount - 1 + 6 * Math.Sqrt(2.0 * (partitionCount - 1));
        Assert.True(chiSquared < limit, $"chi squared {chiSquared:F0} is not below {limit:F0}; least {counts.Min()}, most {counts.Max()} of {KeysPerPartition}");
    }

    [Fact]
    public void BucketBitsAreIndependentOfThePartition()
    {
        // Inside a partition the high bits choose the bucket: they must spread although the low bits are the same for all its keys.
        int[] counts = new int[64];
        int taken = 0;
        for (int i = 0; taken < 64 * 200; i++)
        {
            ulong hash = KeyHash.Compute(System.Text.Encoding.UTF8.GetBytes($"key-{i}"));
            if (PartitionId.OfHash(hash, 256).Value != 7)
                continue;
            counts[hash >> 58]++;
            taken++;
        }

        double chiSquared = counts.Sum(count => (double)(count - 200) * (count - 200) / 200);
        Assert.True(chiSquared < 63 + 6 * Math.Sqrt(126), $"chi squared {chiSquared:F0}");
    }

    /// <summary>Bytes 1, 8, 15, ... so that neighbours differ and no length is a prefix of zeros.</summary>
    private static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)(1 + i * 7))];
}
