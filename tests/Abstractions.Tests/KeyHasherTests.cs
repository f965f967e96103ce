using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Xunit.Abstractions;

namespace OrleansCache.Abstractions.Tests;

public sealed class KeyHasherTests(ITestOutputHelper output)
{
    /// <summary>The bytes 0 to 15.</summary>
    private static readonly KeyHasher First = new(new HashSeed(0x0706050403020100, 0x0F0E0D0C0B0A0908));
    private static readonly KeyHasher Second = new(new HashSeed(1, 0));

    /// <summary>Silos of all versions must find the same partition: these numbers, made by an independent implementation, must never change.</summary>
    [Theory]
    [InlineData(0, 0xBAAE48DB79E7A0C6UL, 0x066DA0C5B6BCEF3EUL)]
    [InlineData(1, 0x17E44440885760C4UL, 0xC9878C44BD493FC6UL)]
    [InlineData(2, 0x5D1BE90F227C7839UL, 0x87A6627CA4E7DA03UL)]
    [InlineData(3, 0x335204EB5F9ED0BAUL, 0x57CEE3E4F04FC41FUL)]
    [InlineData(4, 0xE26EB4867ECA033FUL, 0xD51A2B318912F239UL)]
    [InlineData(5, 0xA47F3BF77CA03CC9UL, 0x6DE9057D96DD1696UL)]
    [InlineData(6, 0x3DA14046DC3143DAUL, 0x0DB87AB8AD4C17A5UL)]
    [InlineData(7, 0x452CD703C68F0ED9UL, 0x506A1E5156640FF5UL)]
    [InlineData(8, 0x8024331B21078CD9UL, 0xB6039A218F91306CUL)]
    [InlineData(9, 0xE549594CC989B306UL, 0x563EF8D1BAD8CDA0UL)]
    [InlineData(10, 0xB7535957E6222112UL, 0x9BAD3277510C34DDUL)]
    [InlineData(11, 0x5F716E0D5DCD7F55UL, 0x80348C3D7F72CF91UL)]
    [InlineData(12, 0x6844FBD333150265UL, 0xFC413A8E3BD735F1UL)]
    [InlineData(13, 0xCAE234F0A18EA0FAUL, 0x19EE5A3899FF8D7BUL)]
    [InlineData(14, 0x01B9D6B863D217F0UL, 0x5831AB6AE17920E1UL)]
    [InlineData(15, 0xCC929D84E135A255UL, 0xCC440F5901759B3EUL)]
    [InlineData(16, 0x4D45A8FE3B52D37BUL, 0x40FAAFF23ECA07F7UL)]
    [InlineData(17, 0xEC9ED31DC8BB40EDUL, 0x966CDB816DC43E31UL)]
    [InlineData(18, 0x8D4AFFCDC252EC2AUL, 0x5F03DA636CC80845UL)]
    [InlineData(19, 0xAE95844D769205A1UL, 0x42BCAEAB7EA1CB40UL)]
    [InlineData(20, 0x65CA9DC03B2E9DA5UL, 0x132FA950765103BFUL)]
    [InlineData(21, 0x1062C2EBCCA6138AUL, 0x08531FB67D658CF8UL)]
    [InlineData(22, 0xB0FCB41BDA910638UL, 0xF34D83BA6B8323ADUL)]
    [InlineData(23, 0x8577932B08721930UL, 0xD408B82D563D7085UL)]
    [InlineData(24, 0x7F30D746D4B1791FUL, 0xFA847A39329FAF77UL)]
    [InlineData(25, 0xB2EBE0974A52BE18UL, 0xE6CFA94FCEC3A9A9UL)]
    [InlineData(26, 0xA64EFD85637ACCDCUL, 0x07A5696B8AF79DE2UL)]
    [InlineData(27, 0x8C8FB24E7B921092UL, 0x1CC34CBC97083B25UL)]
    [InlineData(28, 0x6B839B5A0D5C5CA7UL, 0xB2099E604A150210UL)]
    [InlineData(29, 0x5477C363C0F4FF7EUL, 0x84FCBC0E98059BD3UL)]
    [InlineData(30, 0x0644AFDE31AAE75AUL, 0xF1DD0F3B7C8850CFUL)]
    [InlineData(31, 0x06893072F2E7FB7BUL, 0x248450ACCED4D2C4UL)]
    [InlineData(32, 0x50D91CF88068A711UL, 0x58AEC3B282126807UL)]
    [InlineData(33, 0xD49EB60D7E279955UL, 0x85BE1F7CE1881EBEUL)]
    [InlineData(34, 0x0E6A5D208AD29340UL, 0xB9F4C804B9F0D0FBUL)]
    [InlineData(35, 0xDC3433692F9F84B0UL, 0x5C6E89C299CD0897UL)]
    [InlineData(36, 0xC99E38ECD3378EDCUL, 0x8C7FD1ADC065B36CUL)]
    [InlineData(37, 0xB8297F7B7CE1AD5EUL, 0x83846719E234848DUL)]
    [InlineData(38, 0xC657BD489E6A8F81UL, 0xF008555FA5BD9C31UL)]
    [InlineData(39, 0xAB4675C7C8954415UL, 0xB7AAD7A5D5E3715DUL)]
    [InlineData(40, 0x2E9AB4A28395B6C7UL, 0x71C6CB32383879A5UL)]
    [InlineData(63, 0xF36CC57670D331D1UL, 0xBE195888D818F22BUL)]
    [InlineData(64, 0x3C437785EDBD571FUL, 0x52C28DE817C2E511UL)]
    [InlineData(65, 0x48898406E6B84852UL, 0x060D42E288E648B7UL)]
    [InlineData(127, 0xC883C499273B85F1UL, 0x71785A29DAA3086EUL)]
    [InlineData(128, 0x8DF3722A6075936AUL, 0xB5B2AC110137716DUL)]
    [InlineData(250, 0x1EA9F7B64E3B8741UL, 0x162D13D90C2C2BBAUL)]
    public void ComputeReturnsThePinnedNumber(int length, ulong first, ulong second) =>
        Assert.Equal((first, second), (First.Compute(Pattern(length)), Second.Compute(Pattern(length))));

    [Theory]
    [InlineData("a", 0xCE625CC1EA24A995UL, 0x5C8947B86CF95055UL)]
    [InlineData("foo", 0x7219252AAF42DA1EUL, 0x45E84140C8730611UL)]
    [InlineData("key", 0xC0EE2CEB67D9A4DCUL, 0x82B4FD5734AF8094UL)]
    [InlineData("user:1", 0x15C4CE420CF8D7B0UL, 0x4C44784142D31377UL)]
    [InlineData("user:2", 0xA1E82B228C55586EUL, 0x809DA865329581B8UL)]
    [InlineData("session:0123456789abcdef", 0x11FB46F6C71FCCB5UL, 0x4B30F4620B408411UL)]
    [InlineData("äöü", 0x480C4984B87CAAB0UL, 0x4707B66696953AD8UL)]
    public void ComputeReturnsThePinnedNumberOfAText(string key, ulong first, ulong second) =>
        Assert.Equal((first, second), (First.Compute(Encoding.UTF8.GetBytes(key)), Second.Compute(Encoding.UTF8.GetBytes(key))));

    [Fact]
    public void TheFingerprintIsPinnedToo() => Assert.Equal((0xE7977F6A82B68122UL, 0xFA7B420A019A9AFEUL), (First.Fingerprint, Second.Fingerprint));

    [Fact]
    public void EveryByteOfAKeyCountsAtEveryLength()
    {
        for (int length = 1; length <= Limits.KeyBytesMax; length++)
        {
            byte[] key = Pattern(length);
            ulong whole = First.Compute(key);
            for (int at = 0; at < length; at++)
            {
                key[at] ^= 1;
                Assert.True(whole != First.Compute(key), $"byte {at} of a key of {length} bytes does not count");
                key[at] ^= 1;
            }
        }
    }

    [Fact]
    public void EveryBitOfTheSeedCounts()
    {
        byte[] wire = new byte[HashSeed.Bytes];
        First.Seed.Write(wire);
        HashSet<ulong> hashes = [First.Compute("key"u8)];
        HashSet<ulong> fingerprints = [First.Fingerprint];
        for (int bit = 0; bit < 8 * HashSeed.Bytes; bit++)
        {
            wire[bit / 8] ^= (byte)(1 << (bit % 8));
            KeyHasher other = new(HashSeed.Read(wire));
            Assert.True(hashes.Add(other.Compute("key"u8)) && fingerprints.Add(other.Fingerprint), $"bit {bit} of the seed does not count");
            wire[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    /// <summary>Whatever bit of a key changes, every bit of the hash changes half the time, taken over keys and seeds.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(40)]
    public void EveryBitOfTheKeyChangesEveryBitOfTheHashHalfTheTime(int length)
    {
        const int Rounds = 500;
        int seed = TestSeed.Next(output);
        Random random = new(seed);
        byte[] key = new byte[length];
        int[,] changed = new int[length * 8, 64];
        for (int round = 0; round < Rounds; round++)
        {
            KeyHasher hasher = new(Draw(random));
            random.NextBytes(key);
            ulong whole = hasher.Compute(key);
            for (int bit = 0; bit < length * 8; bit++)
            {
                key[bit / 8] ^= (byte)(1 << (bit % 8));
                ulong difference = whole ^ hasher.Compute(key);
                key[bit / 8] ^= (byte)(1 << (bit % 8));
                for (int place = 0; place < 64; place++)
                    changed[bit, place] += (int)(difference >> place) & 1;
            }
        }

        // Standard deviation sqrt(n)/2; seven of them do not happen in some 20,000 counters.
        double limit = 7 * Math.Sqrt(Rounds) / 2;
        for (int bit = 0; bit < length * 8; bit++)
        {
            for (int place = 0; place < 64; place++)
                Assert.True(Math.Abs(changed[bit, place] - (Rounds / 2)) < limit,
                    $"seed {seed}: bit {bit} changes bit {place} {changed[bit, place]} times in {Rounds}");
        }
    }

    [Theory]
    [InlineData(256, "user:{0}")]
    [InlineData(256, "{0}")]
    [InlineData(256, "session:0000000000000000:{0:x8}:profile")]
    [InlineData(251, "{0:d32}")]
    public void KeysSpreadEvenlyOverPartitionsUnderAnySeed(int partitionCount, string format)
    {
        int seed = TestSeed.Next(output);
        Random random = new(seed);
        byte[][] keys = [.. Enumerable.Range(0, partitionCount * 200)
            .Select(i => Encoding.UTF8.GetBytes(string.Format(CultureInfo.InvariantCulture, format, i)))];
        for (int round = 0; round < 10; round++)
        {
            KeyHasher hasher = new(Draw(random));
            AssertEven(keys.Select(key => PartitionId.OfHash(hasher.Compute(key), partitionCount).Value), partitionCount, seed);
        }
    }

    [Fact]
    public void BucketBitsAreIndependentOfThePartition()
    {
        // Inside a partition the high bits choose the bucket: they must spread although the low bits are the same for all its keys.
        int seed = TestSeed.Next(output);
        KeyHasher hasher = new(Draw(new Random(seed)));
        IEnumerable<ulong> inPartition = Enumerable.Range(0, int.MaxValue).Select(i => hasher.Compute(Encoding.UTF8.GetBytes($"key-{i}")))
            .Where(hash => PartitionId.OfHash(hash, 256).Value == 7).Take(64 * 200);
        ulong[] hashes = [.. inPartition];
        AssertEven(hashes.Select(hash => (int)(hash >> 58)), 64, seed);
        AssertEven(hashes.Select(hash => (int)(hash >> 32) & 63), 64, seed);
    }

    /// <summary>The hash before had constants for secrets: these 16-byte keys made one factor 0, so that they all had one hash.</summary>
    [Fact]
    public void KeysMadeToCollideWithoutASeedDoNot()
    {
        const ulong FormerSecret = 0xE7037ED1A0B428DB;
        int seed = TestSeed.Next(output);
        AssertUnrelated(KeysWithAZeroFactor(FormerSecret), new KeyHasher(Draw(new Random(seed))), seed);
    }

    /// <summary>Whoever knows a seed can make keys collide; under another seed they are keys like all others.</summary>
    [Fact]
    public void KeysMadeToCollideUnderOneSeedDoNotUnderAnother()
    {
        int seed = TestSeed.Next(output);
        Random random = new(seed);
        HashSeed known = Draw(random);
        byte[][] keys = KeysWithAZeroFactor(BinaryPrimitives.ReadUInt64LittleEndian(SecretsOf(known).AsSpan(8)));
        KeyHasher underKnown = new(known);
        Assert.Single(keys.Select(key => underKnown.Compute(key)).Distinct());
        AssertUnrelated(keys, new KeyHasher(Draw(random)), seed);
    }

    [Fact]
    public void KeysAimedAtOnePartitionUnderOneSeedSpreadUnderAnother()
    {
        int seed = TestSeed.Next(output);
        Random random = new(seed);
        KeyHasher known = new(Draw(random));
        byte[][] aimed = [.. Enumerable.Range(0, int.MaxValue).Select(i => Encoding.UTF8.GetBytes($"user:{i}"))
            .Where(key => PartitionId.OfHash(known.Compute(key), 256).Value == 3).Take(256 * 20)];
        AssertUnrelated(aimed, new KeyHasher(Draw(random)), seed);
    }

    [Fact]
    public void WithoutASeedThereIsNoHasher()
    {
        Assert.True(default(HashSeed).IsNone);
        Assert.Throws<ArgumentException>(() => new KeyHasher(default));
    }

    [Fact]
    public void SeedsAreRandomSurviveTheirWireFormAndTellNobody()
    {
        HashSeed seed = HashSeed.Random();
        Assert.False(seed.IsNone);
        Assert.NotEqual(seed, HashSeed.Random());
        byte[] wire = new byte[HashSeed.Bytes];
        seed.Write(wire);
        Assert.Equal(seed, HashSeed.Read(wire));
        First.Seed.Write(wire);
        Assert.Equal(Enumerable.Range(0, 16).Select(i => (byte)i), wire);
        Assert.Equal("secret", seed.ToString());
        Assert.DoesNotContain("70605", new StoreOptions { HashSeed = First.Seed }.ToString(), StringComparison.Ordinal);
    }

    private static HashSeed Draw(Random random) => new((ulong)random.NextInt64() | 1, (ulong)random.NextInt64());

    /// <summary>As documented: the secrets of a seed, one after the other.</summary>
    private static byte[] SecretsOf(HashSeed seed)
    {
        byte[] input = [.. "orleanscache key hash 2"u8, .. new byte[HashSeed.Bytes]];
        seed.Write(input.AsSpan(input.Length - HashSeed.Bytes));
        return SHA512.HashData(input);
    }

    /// <summary>Keys whose first half cancels this word out.</summary>
    private static byte[][] KeysWithAZeroFactor(ulong secret)
    {
        byte[][] keys = new byte[256 * 20][];
        for (int i = 0; i < keys.Length; i++)
        {
            keys[i] = new byte[16];
            BinaryPrimitives.WriteUInt64LittleEndian(keys[i], secret);
            BinaryPrimitives.WriteInt32LittleEndian(keys[i].AsSpan(8), i);
        }

        return keys;
    }

    private static void AssertUnrelated(byte[][] keys, KeyHasher hasher, int seed)
    {
        ulong[] hashes = [.. keys.Select(key => hasher.Compute(key))];
        Assert.True(hashes.Distinct().Count() == hashes.Length, $"seed {seed}: keys collide");
        AssertEven(hashes.Select(hash => PartitionId.OfHash(hash, 256).Value), 256, seed);
        AssertEven(hashes.Select(hash => (int)(hash >> 56)), 256, seed);
        AssertEven(hashes.Select(hash => (int)(hash >> 32) & 255), 256, seed);
    }

    private static void AssertEven(IEnumerable<int> places, int placeCount, int seed)
    {
        int[] counts = new int[placeCount];
        int total = 0;
        foreach (int place in places)
        {
            counts[place]++;
            total++;
        }

        // Chi squared over n - 1 degrees of freedom: mean n - 1, standard deviation sqrt(2 (n - 1)). Seven deviations do not happen to a good hash.
        double expected = (double)total / placeCount;
        double chiSquared = counts.Sum(count => (count - expected) * (count - expected) / expected);
        double limit = placeCount - 1 + (7 * Math.Sqrt(2.0 * (placeCount - 1)));
        Assert.True(chiSquared < limit,
            $"seed {seed}: chi squared {chiSquared:F0} is not below {limit:F0}; least {counts.Min()}, most {counts.Max()} of {expected:F0}");
    }

    /// <summary>Bytes 1, 8, 15, ... so that neighbours differ and no length is a prefix of zeros.</summary>
    private static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)(1 + i * 7))];
}
