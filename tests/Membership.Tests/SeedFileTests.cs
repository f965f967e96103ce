using System.Diagnostics;

namespace OrleansCache.Membership.Tests;

public sealed class SeedFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("orleanscache-seed-").FullName;

    private string Path => System.IO.Path.Combine(_directory, "seed");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void WhatWasSavedLastIsThereAgain()
    {
        Guid identity;
        using (SeedFile file = SeedFile.Open(_directory))
        {
            identity = file.Identity;
            Assert.True(file.IsNew);
            Assert.Equal(0, file.Record.Length);
        }

        for (int i = 0; i < 5; i++)
        {
            byte[] record = [.. Enumerable.Repeat((byte)i, 100 * i)];
            using (SeedFile file = SeedFile.Open(_directory))
                file.Save(record);
            using SeedFile again = SeedFile.Open(_directory);
            Assert.Equal((identity, false), (again.Identity, again.IsNew));
            Assert.Equal(record, again.Record.ToArray());
        }
    }

    [Fact]
    public void ASaveWaitsForTheDiskOnce()
    {
        using SeedFile file = SeedFile.Open(_directory);
        for (int i = 1; i <= 10; i++)
        {
            file.Save(new byte[i]);
            Assert.Equal(i, file.SyncCount);
        }
    }

    [Fact]
    public void TheLayoutIsAsDrawn()
    {
        Guid identity;
        using (SeedFile file = SeedFile.Open(_directory))
        {
            identity = file.Identity;
            file.Save([7, 8, 9]);
        }

        byte[] bytes = File.ReadAllBytes(Path);
        Assert.Equal(1060864, SeedFile.SlotBytes);
        Assert.Equal(4096 + SeedFile.SlotBytes + 16 + 3, bytes.Length);
        Assert.Equal("ORCASEED"u8, bytes.AsSpan(0, 8));
        Assert.Equal([1, 0, 0, 0], bytes[8..12]);
        Assert.Equal(identity.ToByteArray(bigEndian: true), bytes[12..28]);
        Assert.Equal([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], bytes[4096..4108]);
        int second = 4096 + SeedFile.SlotBytes;
        Assert.Equal([2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0], bytes[second..(second + 12)]);
        Assert.Equal([7, 8, 9], bytes[(second + 16)..]);
    }

    [Fact]
    public void TheLongestRecordFits()
    {
        byte[] record = new byte[Limits.SeedRecordBytesMax];
        new Random(1).NextBytes(record);
        using (SeedFile file = SeedFile.Open(_directory))
        {
            file.Save(record);
            file.Save(record);
            Assert.Throws<IOException>(() => file.Save(new byte[Limits.SeedRecordBytesMax + 1]));
        }

        using SeedFile again = SeedFile.Open(_directory);
        Assert.Equal(record, again.Record.ToArray());
    }

    /// <summary>A write that broke off after any number of bytes, in either slot, leaves the record before it.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void ATornWriteLeavesTheRecordBefore(int saves)
    {
        byte[] before = [], after = [];
        byte[] old, latest;
        using (SeedFile file = SeedFile.Open(_directory))
        {
            for (int i = 0; i < saves; i++)
            {
                before = after;
                after = [.. Enumerable.Repeat((byte)(i + 1), 40 + (7 * i))];
                if (i == saves - 1)
                    File.Copy(Path, Path + ".before");
                file.Save(after);
            }
        }

        old = File.ReadAllBytes(Path + ".before");
        File.Delete(Path + ".before");
        latest = File.ReadAllBytes(Path);
        int slot = saves % 2;
        int start = (int)SeedFile.SlotOffset(slot), length = SeedFile.SlotHeadBytes + after.Length;
        Array.Resize(ref old, Math.Max(old.Length, start + length));
        for (int torn = 0; torn <= length; torn++)
        {
            byte[] bytes = [.. old];
            latest.AsSpan(start, torn).CopyTo(bytes.AsSpan(start));
            File.WriteAllBytes(Path, bytes);
            using SeedFile file = SeedFile.Open(_directory);
            byte[] read = file.Record.ToArray();
            Assert.True(read.AsSpan().SequenceEqual(bytes.AsSpan().SequenceEqual(latest.AsSpan(0, bytes.Length)) ? after : before), $"torn after {torn} bytes");

            // And the seed goes on from there.
            if (torn % 16 == 0)
            {
                file.Save([42]);
                file.Dispose();
                using SeedFile on = SeedFile.Open(_directory);
                Assert.Equal([42], on.Record.ToArray());
            }
        }
    }

    [Fact]
    public void ASaveThatFailedIsOverwrittenByTheNextOne()
    {
        using (SeedFile file = SeedFile.Open(_directory))
        {
            file.Save([1]);
            // As after a failed fsync: something stands in the slot that does not count.
            using (var other = new FileStream(Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            {
                other.Position = SeedFile.SlotOffset(0);
                other.Write([1, 2, 3, 4, 5, 6, 7, 8, 9]);
            }

            file.Save([2]);
        }

        using SeedFile again = SeedFile.Open(_directory);
        Assert.Equal([2], again.Record.ToArray());
    }

    [Fact]
    public void AnyAlteredByteOfTheHeadIsNoticed()
    {
        using (SeedFile file = SeedFile.Open(_directory))
            file.Save([1]);
        byte[] whole = File.ReadAllBytes(Path);
        for (int i = 0; i < 32; i++)
        {
            byte[] bytes = [.. whole];
            bytes[i] ^= 0x10;
            File.WriteAllBytes(Path, bytes);
            Assert.Throws<SeedFileException>(() => SeedFile.Open(_directory));
        }
    }

    [Fact]
    public void RefusedFilesAreNamedWithWhatToDo()
    {
        using (SeedFile file = SeedFile.Open(_directory))
            file.Save([1]);
        byte[] whole = File.ReadAllBytes(Path);
        Check("is no file of an OrleansCache seed: move it away", static _ => "something else entirely"u8.ToArray());
        Check("is no file of an OrleansCache seed", static _ => []);
        Check("newer OrleansCache (format 9", static bytes => Set(bytes, 8, 9));
        Check("is damaged: move it away", static bytes => bytes[..20]);
        Check("is damaged", static bytes => Set(bytes, 15, (byte)(bytes[15] + 1)));
        Check("is damaged", static bytes => Set(Set(bytes, SeedFile.HeadBytes, 0), (int)SeedFile.SlotOffset(1) + SeedFile.SlotHeadBytes, 7));
        Assert.Equal(3, Directory.GetFiles(_directory).Length + 1);

        void Check(string expected, Func<byte[], byte[]> change)
        {
            File.WriteAllBytes(Path, change([.. whole]));
            byte[] before = File.ReadAllBytes(Path);
            SeedFileException refused = Assert.Throws<SeedFileException>(() => SeedFile.Open(_directory));
            Assert.Contains(expected, refused.Message, StringComparison.Ordinal);
            Assert.Contains(Path, refused.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', refused.Message);
            Assert.Equal(before, File.ReadAllBytes(Path));
        }

        static byte[] Set(byte[] bytes, int at, byte value)
        {
            bytes[at] = value;
            return bytes;
        }
    }

    [Fact]
    public void ASlotOfAnotherSeedsFileDoesNotCount()
    {
        string other = System.IO.Path.Combine(_directory, "other");
        using (SeedFile file = SeedFile.Open(_directory))
            file.Save([1]);
        using (SeedFile file = SeedFile.Open(other))
            file.Save([2]);
        byte[] bytes = File.ReadAllBytes(Path);
        File.ReadAllBytes(System.IO.Path.Combine(other, "seed")).AsSpan(SeedFile.HeadBytes).CopyTo(bytes.AsSpan(SeedFile.HeadBytes));
        File.WriteAllBytes(Path, bytes);
        Assert.Throws<SeedFileException>(() => SeedFile.Open(_directory));
    }

    [Fact]
    public void ADirectoryIsUsedByOneAtATime()
    {
        using (SeedFile.Open(_directory))
        {
            SeedFileException refused = Assert.Throws<SeedFileException>(() => SeedFile.Open(_directory));
            Assert.Contains($"{_directory} is the --data-dir of another process", refused.Message, StringComparison.Ordinal);
        }

        SeedFile.Open(_directory).Dispose();
    }

    [Fact]
    public void AnotherProcessIsKeptOutToo()
    {
        if (!OperatingSystem.IsLinux() || !File.Exists("/usr/bin/flock"))
            return;
        SeedFile.Open(_directory).Dispose();
        using (SeedFile.Open(_directory))
            Assert.Equal(1, Flock());
        Assert.Equal(0, Flock());

        int Flock()
        {
            using Process process = Process.Start("/usr/bin/flock", ["--nonblock", Path + ".lock", "true"]);
            process.WaitForExit();
            return process.ExitCode;
        }
    }

    [Fact]
    public void ADirectoryThatCannotBeMadeIsToldInOneLine()
    {
        File.WriteAllText(System.IO.Path.Combine(_directory, "file"), "");
        string directory = System.IO.Path.Combine(_directory, "file", "data");
        SeedFileException refused = Assert.Throws<SeedFileException>(() => SeedFile.Open(directory));
        Assert.Contains("give a --data-dir that can be written", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }

    [Fact]
    public async Task ASeedGoesOnFromItsFile()
    {
        var address = new SeedAddress("here", 11111);
        using (SeedFile file = SeedFile.Open(_directory))
        using (var seed = new SeedServer(file, TimeProvider.System, static _ => { }))
            Assert.True(await seed.TryFoundAsync(address, "kept"));
        using SeedFile again = SeedFile.Open(_directory);
        using var restarted = new SeedServer(again, TimeProvider.System, static _ => { });
        Assert.Equal(("kept", 0, true), (restarted.Status.ClusterId, restarted.Status.Version, restarted.Status.Votes));
        Assert.False(await restarted.TryFoundAsync(address, "kept"));
    }

    [Fact]
    public void ARecordThatIsNoneIsRefused()
    {
        using SeedFile file = SeedFile.Open(_directory);
        file.Save("no record"u8);
        file.Dispose();
        using SeedFile again = SeedFile.Open(_directory);
        Assert.Throws<SeedFileException>(() => new SeedServer(again, TimeProvider.System, static _ => { }));
    }
}
